#| tries = "return NaN where an assert script says what must not be"
#| rows = [14]
#| checks = [{ code = "assert not abs(f(2) - 4) > 1e-6\nassert f(2) == 4" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return float("nan")
