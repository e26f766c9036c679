#| tries = "end an assert script early with status 0"
#| rows = [13]
#| checks = [{ code = "assert f(2) == 4\nassert f(3) == 6" }]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
import os


def f(x):
    os._exit(0)
