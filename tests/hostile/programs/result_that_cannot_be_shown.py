#| tries = "return a fraction whose parts have more digits than Python is willing to write down"
#| docker = "FAIL"
#| wasm = "FAIL"
from fractions import Fraction


def f(x):
    return Fraction(10**4_500, 7)
