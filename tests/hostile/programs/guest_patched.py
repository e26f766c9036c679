#| tries = "replace the functions of the guest that write the answer, and have them say what was not asked"
#| rows = [15]
#| docker = "TAMPERED"
#| wasm = "TAMPERED"
import sys

child = sys.modules["sandbox.guest.child"]
send = child._send


def f(x):
    child._send = lambda fd, body: send(fd, b"t\2\0\0\0s\6\0\0\0passedl\0\0\0\0")
    return 5
