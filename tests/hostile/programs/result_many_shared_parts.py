#| tries = "return a few objects that contain each other so often that written out they fill the world"
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    value = [4]
    for _ in range(100):
        value = [value, value]
    return value
