#| tries = "stay inside one operation that no alarm interrupts: a power"
#| rows = [31]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
def f(x):
    return 10 ** 10**8
