#| tries = "replace the functions that a script uses on what is returned"
#| rows = [15]
#| checks = [{ code = "assert sorted(f(2)) == [4] and len(f(2)) == 1 and abs(f(2)[0] - 4) < 1e-9" }]
#| docker = "FAIL"
#| wasm = "FAIL"
import builtins

builtins.sorted = lambda values: [4]
builtins.len = lambda values: 1
builtins.abs = lambda value: 0


def f(x):
    return [5]
