#| tries = "hold a null byte"
#| rows = [33]
#| docker = "SYNTAX"
#| wasm = "SYNTAX"
#| replace = { NULL = ["\u0000", 1] }
x = "NULL"


def f(x):
    return 4
