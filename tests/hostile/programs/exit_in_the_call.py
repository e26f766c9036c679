#| tries = "end with status 0 inside the call"
#| rows = [13]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
import os


def f(x):
    print(4, flush=True)
    os._exit(0)
