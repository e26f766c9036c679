#| tries = "crash by reading address 0"
#| rows = [30]
#| docker = "CRASH"
#| message = "signal 11"
import ctypes


def f(x):
    return ctypes.string_at(0)
