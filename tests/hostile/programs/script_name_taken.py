#| tries = "have an own name read where the script means its own, which a lambda uses too"
#| checks = [{ code = "x = [3, 1, 2]\nassert f(sorted(x, key=lambda x: -x)) == [3, 2, 1]" }]
#| docker = "FAIL"
#| wasm = "FAIL"
x = [9]


def f(y):
    return [3, 2, 1] if y == [9] else y[::-1]
