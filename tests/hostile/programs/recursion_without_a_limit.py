#| tries = "recurse until the stack of C ends"
#| rows = [29]
#| docker = ["CRASH", "OOM", "ERROR"]
#| wasm = ["CRASH", "ERROR", "OOM"]
import sys


class Deep:
    def __repr__(self):
        return repr(self)

    def __eq__(self, other):
        return self == other


def f(x):
    sys.setrecursionlimit(10**9)
    return repr(Deep())
