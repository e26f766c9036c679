#| tries = "return an object that says it equals everything, is true, and is near every number"
#| rows = [14]
#| docker = "FAIL"
#| wasm = "FAIL"
#| message = "an object of type Yes"
class Yes:
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __bool__ = lambda self: True
    __hash__ = lambda self: hash(4)
    __sub__ = __rsub__ = __add__ = __radd__ = __mod__ = __abs__ = lambda self, *other: 0
    __int__ = __index__ = __len__ = lambda self: 4
    __float__ = lambda self: 4.0
    __iter__ = lambda self: iter([4])
    __instancecheck__ = lambda self, kind: True
    __class__ = int
    __getattr__ = lambda self, name: 4
    __call__ = lambda self, *args: self


def f(x):
    return Yes()
