#| tries = "be found in any collection, and have any value found in it"
#| rows = [14]
#| checks = [{ call = "f(2)", expected = "[4, 5]", compare = "in" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes(list):
    __eq__ = __contains__ = lambda self, other: True
    __hash__ = lambda self: 4


def f(x):
    return Yes([4])
