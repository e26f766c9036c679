#| tries = "raise a group of groups of exits"
#| docker = "ERROR"
#| wasm = "ERROR"
def f(x):
    group = BaseExceptionGroup("exits", [SystemExit(0), GeneratorExit()])
    for _ in range(50):
        group = BaseExceptionGroup("exits", [group])
    raise group
