#| tries = "change the argument that the script has copied first, to see that it stays as it was"
#| checks = [{ code = "import copy\nx = [3, 1]\nbefore = copy.deepcopy(x)\ny = f(x)\nassert y == [1, 3]\nassert x == before" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    x.sort()
    return x
