#| tries = "crash by a fault that reports itself"
#| rows = [30]
#| docker = "CRASH"
#| message = "signal"
import faulthandler


def f(x):
    faulthandler.enable()
    faulthandler._sigsegv()
