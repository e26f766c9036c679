#| tries = "return numbers whose arithmetic never ends"
#| checks = [{ code = "assert f(2) + 1 == 5" }]
#| docker = ["TAMPERED", "FAIL"]
#| wasm = ["TAMPERED", "FAIL"]
from decimal import Decimal


def f(x):
    return Decimal("1e400000000")
