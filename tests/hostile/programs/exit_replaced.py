#| tries = "replace what ends the process, so that more of the program runs after its answer"
#| docker = "FAIL"
#| wasm = "FAIL"
import atexit, os, sys

os._exit = lambda status: None
if "posix" in sys.modules:
    sys.modules["posix"]._exit = os._exit
atexit.register(lambda: os.write(1, b"PASS"))


def f(x):
    return 5
