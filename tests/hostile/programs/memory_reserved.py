#| tries = "reserve more addresses than a machine has memory, without touching them"
#| docker = "ERROR"
#| message = "Cannot allocate memory"
import mmap


def f(x):
    maps = []
    while True:
        maps.append(mmap.mmap(-1, 1 << 30))
