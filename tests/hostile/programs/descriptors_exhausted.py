#| tries = "open files until there are no more descriptors, and answer"
#| rows = [42]
#| docker = "ERROR"
#| message = "Too many open files"
import os


def f(x):
    while True:
        os.open("/dev/null", os.O_RDONLY)
