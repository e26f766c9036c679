#| tries = "pass each way of comparing with one object that agrees to all of them"
#| rows = [14]
#| checks = [{ call = "f(2)", expected = "4", compare = "close", abs_tol = 1e9 }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes(float):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __hash__ = float.__hash__
    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0.0


def f(x):
    return Yes(4.0)
