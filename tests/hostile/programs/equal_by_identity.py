#| tries = "be what a check wants by identity"
#| rows = [14]
#| checks = [{ call = "f(2)", expected = "True", compare = "is" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Meta(type):
    __eq__ = lambda self, other: True
    __instancecheck__ = __subclasscheck__ = lambda self, other: True
    __hash__ = type.__hash__


class true(int, metaclass=Meta):
    __class__ = bool
    __eq__ = lambda self, other: True
    __hash__ = int.__hash__


def f(x):
    return true(1)
