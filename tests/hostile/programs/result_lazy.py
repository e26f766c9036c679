#| tries = "return a generator that sleeps, so that the clock has stopped when the work is done"
#| rows = [25]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import time


def f(x):
    yield 4
    time.sleep(60)
