#| tries = "have the host count the elements of a range that has more of them than there are atoms"
#| checks = [{ call = "f(2)", expected = "[4, 5]", compare = "unordered" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return range(10**30)
