#| tries = "return an iterator that never ends"
#| docker = "FAIL"
#| wasm = "FAIL"
import itertools


def f(x):
    return itertools.cycle([4])
