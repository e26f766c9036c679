#| tries = "leave with an exit status that compares equal to everything"
#| rows = [13, 14]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
class Status(int):
    __eq__ = lambda self, other: True
    __hash__ = int.__hash__


class Leave(SystemExit):
    @property
    def code(self):
        return Status(0)


def f(x):
    raise Leave(4)
