#| tries = "raise an exception whose trace never ends"
#| docker = "ERROR"
#| wasm = "ERROR"
class Trace:
    @property
    def tb_next(self):
        return self

    def __getattr__(self, name):
        return self


class Endless(Exception):
    __traceback__ = Trace()


def f(x):
    raise Endless(4)
