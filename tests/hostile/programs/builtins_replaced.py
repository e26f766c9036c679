#| tries = "replace every built-in function by one that agrees"
#| rows = [15]
#| docker = "FAIL"
#| wasm = "FAIL"
import builtins

for name in dir(builtins):
    if name[0].islower() and name not in ("print",):
        setattr(builtins, name, lambda *args, **named: True)


def f(x):
    return 5
