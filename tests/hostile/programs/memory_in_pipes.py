#| tries = "keep memory in the kernel, as the contents of pipes and sockets"
#| docker = "ERROR"
#| message = "Too many open files|Resource temporarily unavailable"
import fcntl, os, socket


def f(x):
    kept = []
    while True:
        read, write = os.pipe()
        one, other = socket.socketpair()
        kept += [read, write, one, other]
        fcntl.fcntl(write, 1031, 1 << 20)
        for fd in (write, one.fileno()):
            os.set_blocking(fd, False)
            try:
                while True:
                    os.write(fd, b"x" * 65536)
            except BlockingIOError:
                pass
