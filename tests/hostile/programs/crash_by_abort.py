#| tries = "crash by aborting"
#| rows = [30]
#| docker = "CRASH"
#| wasm = "CRASH"
#| message = "signal 6"
#| wasm_message = "signal"
import os


def f(x):
    os.abort()
