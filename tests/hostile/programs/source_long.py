#| tries = "be as long as a program may be"
#| rows = [33]
#| docker = "PASS"
#| wasm = "PASS"
#| replace = { LONG = ["# a line that says nothing\n", 37000] }
LONG


def f(x):
    return 4
