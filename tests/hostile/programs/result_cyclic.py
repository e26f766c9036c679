#| tries = "return a value that contains itself"
#| checks = [{ call = "f(2)", expected = "[[]]" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    a = []
    b = {"a": (a,)}
    a.append(b)
    return a
