#| tries = "raise what no handler for exceptions catches"
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "KeyboardInterrupt"
def f(x):
    raise KeyboardInterrupt
