#| tries = "break every built-in function and answer right all the same"
#| rows = [15]
#| docker = "PASS"
#| wasm = "PASS"
import builtins


def f(x, change=setattr):
    for name in dir(builtins):
        if not name.startswith("_"):
            change(builtins, name, None)
    return 4
