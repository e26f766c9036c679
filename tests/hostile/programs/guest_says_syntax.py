#| tries = "report that the program does not compile, as if it had never run"
#| docker = "SYNTAX"
#| wasm = "SYNTAX"
import sys


def f(x):
    child = sys.modules["sandbox.guest.child"]
    send = child._send
    child._send = lambda fd, body: send(fd, b"t\2\0\0\0s\6\0\0\0syntaxs\1\0\0\0x")
    return 5
