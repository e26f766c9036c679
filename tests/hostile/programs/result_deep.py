#| tries = "return a value that is nested so deep that reading it takes all of the stack"
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    value = 4
    for _ in range(100_000):
        value = (value,)
    return value
