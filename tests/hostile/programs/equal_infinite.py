#| tries = "return infinity where a number near another is wanted"
#| checks = [{ code = "assert abs(f(2) - 4) < 1e-6 and f(2) // 1 == 4" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return float("inf")
