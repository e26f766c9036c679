#| tries = "print forty megabytes at once"
#| rows = [10]
#| docker = "OUTPUT_LIMIT"
#| wasm = "OUTPUT_LIMIT"
import sys

sys.stdout.buffer.write(b"x" * (40 << 20))


def f(x):
    return 4
