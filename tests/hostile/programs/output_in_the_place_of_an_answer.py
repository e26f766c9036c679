#| tries = "print the right answer and return nothing"
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    print(4)
