#| tries = "fork for ever, in every child too"
#| rows = [1]
#| docker = ["ERROR", "TIMEOUT", "TAMPERED"]
#| limits = { wall_s = 1.5 }
import os


def f(x):
    while True:
        os.fork()
