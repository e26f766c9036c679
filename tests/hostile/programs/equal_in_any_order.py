#| tries = "be equal in any order, as a collection that counts as it likes"
#| rows = [14]
#| checks = [{ call = "f(2)", expected = "[4, 5]", compare = "unordered" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes(dict):
    __eq__ = lambda self, other: True
    __hash__ = lambda self: 4
    __iter__ = lambda self: iter([4, 5])


def f(x):
    return [Yes(), Yes()]
