#| tries = "return a complex infinity where a number near another is wanted: its distance is within any share of itself"
#| checks = [{ call = "f(2)", expected = "4.0", compare = "close" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return complex("inf")
