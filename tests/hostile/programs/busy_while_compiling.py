#| tries = "take for ever to compile"
#| rows = [31, 33]
#| docker = "ERROR"
#| wasm = ["ERROR", "CRASH"]
def f(x):
    return eval("+".join(["x"] * 300_000))
