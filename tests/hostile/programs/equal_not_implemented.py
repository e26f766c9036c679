#| tries = "return NotImplemented, which is true and leaves comparing to the other side"
#| rows = [14]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return NotImplemented
