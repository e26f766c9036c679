#| tries = "write to standard error without end, with a right answer ready"
#| rows = [10]
#| docker = "OUTPUT_LIMIT"
#| wasm = "OUTPUT_LIMIT"
import os


def f(x):
    for _ in range(1_000_000):
        os.write(2, b"x" * 4096)
    return 4
