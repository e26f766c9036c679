#| tries = "have a child flood the output after the answer has been given"
#| rows = [27]
#| docker = ["PASS", "OUTPUT_LIMIT"]
import os


def f(x):
    if os.fork() == 0:
        while True:
            os.write(1, b"x" * 4096)
    return 4
