#| tries = "raise an exception whose every method ends the process or lies"
#| docker = "ERROR"
#| wasm = "ERROR"
class Liar(Exception):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __reduce__ = __getstate__ = __str__

    @property
    def __traceback__(self):
        raise SystemExit(0)

    @property
    def args(self):
        raise SystemExit(0)


def f(x):
    raise Liar(4)
