#| tries = "die of the signal that stands for too much processor time"
#| docker = "CRASH"
#| message = "signal 24"
import os, signal


def f(x):
    os.kill(os.getpid(), signal.SIGXCPU)
