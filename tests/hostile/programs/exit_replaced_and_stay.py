#| tries = "answer right and then stay for ever, in exit functions that the process runs at its end"
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import atexit, os, sys, time

os._exit = lambda status: None
sys.modules["posix"]._exit = os._exit
atexit.register(time.sleep, 60)


def f(x):
    return 4
