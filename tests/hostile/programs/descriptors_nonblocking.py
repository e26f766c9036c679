#| tries = "make its output pipes tiny, non-blocking and a source of signals for others"
#| docker = "PASS"
import fcntl, os, signal


def f(x):
    for fd in (1, 2, *range(3, 32)):
        try:
            os.set_blocking(fd, False)
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
            for owner in (os.getppid(), 1, -1):
                fcntl.fcntl(fd, fcntl.F_SETOWN, owner)
                fcntl.fcntl(fd, 10, signal.SIGKILL)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC | os.O_APPEND)
        except OSError:
            pass
    return 4
