#| tries = "return NaN where a number near another is wanted"
#| rows = [14]
#| checks = [{ call = "f(2)", expected = "4", compare = "close", rel_tol = 1.0, abs_tol = 1e300 }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return float("nan")
