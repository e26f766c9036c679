#| tries = "write without end into the descriptor that carries the answer"
#| rows = [19]
#| docker = "OUTPUT_LIMIT"
#| wasm = "OUTPUT_LIMIT"
import os, sys


def f(x):
    for fd in range(0 if sys.platform == "wasi" else 3, 256):
        try:
            while True:
                os.write(fd, b"x" * 65536)
        except OSError:
            pass
    return 4
