#| tries = "change an argument in place where the script runs in another process and would not notice"
#| checks = [{ code = "import random\nx = [9, random.randint(0, 5)]\nbefore = list(x)\ny = f(x)\nassert y == sorted(before)\nassert x == before" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    x.sort()
    return x
