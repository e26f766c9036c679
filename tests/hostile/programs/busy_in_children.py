#| tries = "compute in children that are started anew before any of them has used much"
#| docker = "CPU_LIMIT"
#| limits = { wall_s = 60, cpu_s = 1 }
import os, time


def f(x):
    while True:
        if os.fork() == 0:
            end = time.process_time() + 0.02
            while time.process_time() < end:
                pass
            os._exit(0)
        os.wait()
