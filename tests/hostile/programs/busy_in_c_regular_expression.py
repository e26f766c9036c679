#| tries = "stay inside one operation that no alarm interrupts: a regular expression"
#| rows = [31]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import re


def f(x):
    return re.match("(a+)+$", "a" * 64 + "b")
