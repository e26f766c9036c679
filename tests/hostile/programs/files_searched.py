#| tries = "search every file, argument list and environment for the expected value"
#| rows = [21]
#| checks = [{ call = "f()", expected = "'nowhere-55d1e'" }]
#| docker = "FAIL"
import os


def f():
    needle = b"nowhere" + b"-55d1e"
    for root in ("/proc/1", "/proc/self", f"/proc/{os.getppid()}", "/box", "/dev/shm", "/etc", "/run", "/tmp", "/root"):
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in ("task", "map_files", "fd", "net", "ns")]
            for name in names:
                try:
                    with open(f"{folder}/{name}", "rb") as file:
                        if not os.path.islink(file.name) and needle in file.read(1 << 20):
                            return needle.decode()
                except OSError:
                    pass
    return "not found"
