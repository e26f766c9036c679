#| tries = "have the host look for a text in a range that has no end worth waiting for"
#| checks = [{ code = "assert 'x' in f(2)" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return range(10**15)
