#| tries = "take away what every function needs"
#| rows = [15]
#| docker = "PASS"
#| wasm = "PASS"
import builtins, sys


def f(x):
    vars(builtins).clear()
    sys.modules.clear()
    return 4
