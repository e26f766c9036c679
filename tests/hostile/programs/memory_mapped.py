#| tries = "map memory that is shared with children, and touch all of it"
#| docker = "OOM"
import mmap


def f(x):
    maps = []
    while True:
        maps.append(mmap.mmap(-1, 16 << 20))
        maps[-1].write(b"x" * (16 << 20))
