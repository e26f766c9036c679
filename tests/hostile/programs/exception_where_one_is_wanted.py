#| tries = "raise an exception that is an instance of every class"
#| checks = [{ call = "f(2)", expected = "ValueError", compare = "raises" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class Meta(type):
    __subclasscheck__ = __instancecheck__ = lambda self, other: True
    mro = lambda self: type.mro(self)


class Any(Exception, metaclass=Meta):
    __class__ = ValueError


def f(x):
    raise Any(4)
