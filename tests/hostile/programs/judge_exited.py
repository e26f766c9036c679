#| tries = "end a judge apart with status 0, by an exception that travels to it"
#| rows = [13]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
#| checks = [{ code = "def ref(x):\n    return x + x\nassert f(3) == ref(3)" }]
class Leave(SystemExit):
    pass


def f(x):
    raise Leave(0)
