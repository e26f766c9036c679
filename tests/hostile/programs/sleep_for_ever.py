#| tries = "sleep for ever and use no processor at all"
#| rows = [25]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import time


def f(x):
    time.sleep(1e9)
