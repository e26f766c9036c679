#| tries = "have two processes answer, the first of them wrong"
#| docker = "TAMPERED"
import os


def f(x):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return 4
    return 5
