#| tries = "leave a daemon that keeps every pipe open"
#| rows = [27]
#| docker = "PASS"
#| leftovers = 1
import os, signal, time


def f(x):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        time.sleep(1e6)
    return 4
