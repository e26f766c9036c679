#| tries = "leave stopped processes, and ones that wait for a child of theirs for ever"
#| rows = [26]
#| docker = "PASS"
#| leftovers = 2
import os, signal


def f(x):
    for _ in range(3):
        if os.fork() == 0:
            if os.fork() == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            os.wait()
            os._exit(0)
    return 4
