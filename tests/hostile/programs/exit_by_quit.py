#| tries = "leave by quit"
#| rows = [13]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
def f(x):
    quit()
