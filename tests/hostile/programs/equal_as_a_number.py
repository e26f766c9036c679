#| tries = "return a number that compares as it likes and says other things of itself"
#| rows = [14]
#| docker = "FAIL"
#| wasm = "FAIL"
class Number(int):
    __eq__ = lambda self, other: True
    __hash__ = int.__hash__
    bit_length = to_bytes = __index__ = __int__ = lambda self, *args, **named: 4
    __reduce__ = __reduce_ex__ = lambda self, *args: (int, (4,))


def f(x):
    return Number(5)
