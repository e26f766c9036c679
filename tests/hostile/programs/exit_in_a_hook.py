#| tries = "end in a destructor while the result is being read"
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
import os


class Result:
    def __iter__(self):
        os._exit(0)

    def __del__(self):
        os._exit(0)


def f(x):
    return Result()
