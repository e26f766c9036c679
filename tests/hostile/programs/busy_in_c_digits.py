#| tries = "stay inside one operation that no alarm interrupts: reading a number"
#| rows = [31]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import sys


def f(x):
    sys.set_int_max_str_digits(0)
    return int("9" * 10**7)
