#| tries = "send a judge apart an object that equals everything, so that it has to judge beside the program"
#| rows = [14, 22]
#| checks = [{ code = "def ref(x):\n    return x + x\nassert f(3) == ref(3)\nassert abs(f(3) - ref(3)) < 1e-6" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Yes:
    __eq__ = __lt__ = __gt__ = __contains__ = lambda self, other: True
    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0
    __hash__ = __int__ = __index__ = __len__ = lambda self: 6
    __iter__ = lambda self: iter([Yes()])
    __getattr__ = __call__ = __getitem__ = lambda self, *args: Yes()


def f(x):
    return Yes()
