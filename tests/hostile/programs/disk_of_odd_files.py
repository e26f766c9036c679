#| tries = "leave links to secrets, FIFOs, sockets and files that nobody may open where artifacts would be"
#| rows = [9, 28]
#| docker = "PASS"
import os, socket


def f(x):
    os.symlink("/proc/1/environ", "out")
    os.symlink("/", "/box/root")
    os.symlink("loop", "loop")
    for make in (os.mkfifo, os.mknod):
        try:
            make("fifo")
        except OSError:
            pass
    socket.socket(socket.AF_UNIX).bind("socket")
    os.makedirs("closed/inner")
    open("closed/inner/file", "w").close()
    os.chmod("closed/inner", 0)
    os.chmod("closed", 0)
    os.chmod("/box/run", 0)
    return 4
