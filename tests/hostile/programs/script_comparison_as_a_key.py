#| tries = "be found as a key of a script's table"
#| checks = [{ code = "wanted = {4: True}\nassert wanted[f(2)]" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes:
    __eq__ = lambda self, other: True
    __hash__ = lambda self: 4


def f(x):
    return Yes()
