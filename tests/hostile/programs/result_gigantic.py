#| tries = "return more than the host would want to hold"
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return ["x" * 1_000_000] * 1_000
