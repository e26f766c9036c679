#| tries = "pass comparisons that a script counts"
#| checks = [{ code = "n = 0\nfor x, y in [(1, 2), (2, 4)]:\n    n += f(x) == y\nassert n == 2" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes:
    __eq__ = lambda self, other: True
    __radd__ = lambda self, other: 2


def f(x):
    return Yes()
