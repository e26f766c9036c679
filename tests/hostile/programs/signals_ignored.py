#| tries = "ignore every signal and every alarm, and run for ever"
#| rows = [24]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import signal


def f(x):
    for number in range(1, getattr(signal, "NSIG", 1)):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
