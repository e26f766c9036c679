#| tries = "replace the guest's encoder by one that writes whatever it likes"
#| rows = [15]
#| docker = "FAIL"
#| wasm = "FAIL"
import sys


def f(x):
    child = sys.modules["sandbox.guest.child"]
    encode = child.encode
    child.encode = lambda value, *rest: encode(value if type(value) is str else 5)
    return 4
