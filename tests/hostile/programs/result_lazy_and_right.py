#| tries = "return a generator where a list is wanted"
#| checks = [{ call = "f(2)", expected = "[0, 1]" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    yield from range(x)
