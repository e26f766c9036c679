#| tries = "keep memory in files without a name, which no process is charged for"
#| rows = [7]
#| docker = "OOM"
import os


def f(x):
    files = []
    while True:
        files.append(os.memfd_create("x"))
        for _ in range(8):
            os.write(files[-1], b"x" * 2**20)
