#| tries = "hide memory in children that are each within every limit"
#| rows = [4]
#| docker = "OOM"
#| message = "more memory than the limit"
import os, time


def f(x):
    for _ in range(8):
        if os.fork() == 0:
            kept = bytearray(b"x") * (40 << 20)
            time.sleep(60)
    time.sleep(60)
