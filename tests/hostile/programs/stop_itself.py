#| tries = "stop without ending, so that nobody is told of an end"
#| rows = [23]
#| docker = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import os, signal


def f(x):
    os.kill(0, signal.SIGSTOP)
