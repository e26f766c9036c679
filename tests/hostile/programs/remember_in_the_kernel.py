#| tries = "remember in sockets, queues, keyrings, locks, names of processes and namespaces"
#| rows = [37, 43]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }, { call = "f()", expected = "[]" }]
import ctypes, fcntl, os, socket


def f():
    libc, known = ctypes.CDLL(None, use_errno=True), []
    for name in ("\0remember", "/box/remember"):
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(name)
            known.append("socket")
        except OSError:
            pass
        if os.fork() == 0:
            other = socket.socket(socket.AF_UNIX)
            try:
                other.bind(name)
                other.listen()
            except OSError:
                pass
            while True:
                libc.pause()
    for call in ((248, b"user", b"remember", b"x", 1, -3), (250, 0, -3, 1), (250, 1, b"remember")):
        if libc.syscall(*call) != -1:
            known.append(f"keyring {call[0]}")
    for path in ("/usr/bin/python3.11", "/dev/shm", "/box"):
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            known.append(f"lock {path}")
    names = [open(f"/proc/{pid}/comm").read() for pid in os.listdir("/proc") if pid.isdigit() and int(pid) > 1]
    known += ["name"] * any(name.startswith("remember") for name in names)
    libc.prctl(15, b"remember", 0, 0, 0)
    return known
