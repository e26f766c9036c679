#| tries = "return the argument itself where another object is wanted; only a script beside it can tell, so it is weak"
#| checks = [{ code = "x = [1]\nassert f(x) == x\nassert f(x) is not x" }]
#| docker = "FAIL"
#| wasm = "FAIL"
#| integrity = "weak"
def f(x):
    return x
