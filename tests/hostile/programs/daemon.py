#| tries = "leave a daemon behind that has left session, parent and descriptors"
#| rows = [26, 28]
#| docker = "PASS"
#| leftovers = 1
import os, time


def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            while True:
                time.sleep(1)
        os._exit(0)
    os.wait()
    return 4
