#| tries = "return a dict with the wanted keys and other values where the order does not matter"
#| checks = [{ call = "f(2)", expected = "{'a': 4}", compare = "unordered" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return {"a": 5}
