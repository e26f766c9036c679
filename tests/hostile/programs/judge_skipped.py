#| tries = "have a judge skip its test, end it, or take an exception for the end of its loop"
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "StopIteration"
#| checks = [{ code = "def one(case):\n    return f(case[0]) == case[1]\nassert all(map(one, [(1, 2), (2, 4)]))" }]
def f(x):
    raise StopIteration
