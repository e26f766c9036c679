#| tries = "print without end"
#| rows = [10]
#| docker = "OUTPUT_LIMIT"
#| wasm = "OUTPUT_LIMIT"
def f(x):
    while True:
        print("x" * 4096)
