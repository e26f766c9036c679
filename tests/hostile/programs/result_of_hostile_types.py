#| tries = "return an object whose type answers every question with an exception"
#| docker = "FAIL"
#| wasm = "FAIL"
class Meta(type):
    def __getattribute__(self, name):
        raise SystemExit(0) if name == "__class__" else AttributeError(name)


class Hostile(metaclass=Meta):
    def __getattribute__(self, name):
        raise SystemExit(0)


def f(x):
    return [Hostile()]
