#| tries = "print what terminals, logs, JSON and Unicode choke on"
#| rows = [11]
#| docker = "PASS"
#| wasm = "PASS"
import os, sys


def f(x):
    print("\0\ud800\u202e\x1b[2J\x1b]0;title\x07\u2028\ufeff\r")
    print("x" * 10_000)
    sys.stdout.flush()
    os.write(1, bytes(range(256)))
    os.write(2, b"\xff\xfe\xed\xa0\x80\xf4\x90\x80\x80")
    return 4
