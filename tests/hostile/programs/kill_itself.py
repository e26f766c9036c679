#| tries = "die of a signal before answering"
#| rows = [23]
#| docker = "CRASH"
#| message = "signal 9"
import os, signal


def f(x):
    os.kill(0, signal.SIGKILL)
