#| tries = "recurse a million times"
#| rows = [29]
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "RecursionError"
def f(x):
    return f(x + 1)
