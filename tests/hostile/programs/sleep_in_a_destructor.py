#| tries = "sleep in exit functions and destructors, when the answer has been given"
#| rows = [18, 25]
#| docker = "PASS"
#| wasm = "PASS"
import atexit, time


class Late:
    def __del__(self):
        time.sleep(1e6)


late = Late()
atexit.register(time.sleep, 1e6)


def f(x):
    return 4
