#| tries = "add answers to the guest's list, before and after its own"
#| rows = [17]
#| docker = "TAMPERED"
#| wasm = "TAMPERED"
import sys


def f(x):
    frame = sys._getframe()
    while frame:
        values = frame.f_locals.get("values")
        if type(values) is list:
            values += [b"t\2\0\0\0s\5\0\0\0valuei\1\0\0\0\4"] * 3
        frame = frame.f_back
    return 5
