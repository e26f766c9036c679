#| tries = "return a number that takes for ever to print"
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return 1 << 20_000_000
