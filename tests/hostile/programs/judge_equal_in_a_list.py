#| tries = "send a judge apart a list of objects that equal everything"
#| checks = [{ code = "def ref(x):\n    return [x, x]\nassert sorted(f(3)) == sorted(ref(3))" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes:
    __eq__ = __lt__ = lambda self, other: True


def f(x):
    return [Yes(), Yes()]
