#| tries = "pass a class of its own off as one of the standard library's value types"
#| rows = [14]
#| docker = "FAIL"
#| wasm = "FAIL"
import decimal, fractions, sys


class Decimal(decimal.Decimal):
    __eq__ = lambda self, other: True
    __hash__ = decimal.Decimal.__hash__
    __str__ = lambda self: "5"


Decimal.__module__ = "decimal"
decimal.Decimal = sys.modules["decimal"].Decimal = Decimal


def f(x):
    return Decimal(4)
