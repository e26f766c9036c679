#| tries = "answer so that a script asks for ever"
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
#| checks = [{ code = "import random\nn = random.randint(0, 9)\nx = 1\nwhile x < 100:\n    x = f(x)\nassert x == 128" }]
def f(x):
    return 1
