#| tries = "return a generator that never ends"
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    while True:
        yield 4
