#| tries = "read input that never comes"
#| checks = [{ call = "f(2)", expected = "4" }]
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "EOFError"
def f(x):
    return input()
