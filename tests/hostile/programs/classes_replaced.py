#| tries = "replace how classes are built, and change classes of the interpreter"
#| rows = [15]
#| docker = "FAIL"
#| wasm = "FAIL"
import builtins

builtins.__build_class__ = lambda *args, **named: 4
builtins.AssertionError = builtins.Exception = builtins.BaseException = builtins.SystemExit
builtins.int = builtins.bool = type("int", (int,), {"__eq__": lambda self, other: True, "__hash__": None})


def f(x):
    return int(5)
