#| tries = "close standard output and error before answering"
#| docker = "PASS"
#| wasm = "PASS"
import os, sys


def f(x):
    sys.stdout.close()
    sys.stderr.close()
    os.close(1)
    os.close(2)
    return 4
