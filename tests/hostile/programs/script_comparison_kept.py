#| tries = "pass a comparison that a script puts into a variable first"
#| checks = [{ code = "ok = f(2) == 4\nassert ok" }, { code = "ok, n = f(2) == 4, 1\nassert ok" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes:
    __eq__ = lambda self, other: True
    __hash__ = lambda self: 4


def f(x):
    return Yes()
