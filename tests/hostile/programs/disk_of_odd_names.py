#| tries = "leave names that are hard to list or to remove"
#| rows = [28]
#| docker = "PASS"
import os


def f(x):
    for name in (b"\n", b"-rf", b"\xff\xfe", b"..a", b" ", b"\x1b[2J", b"*", "\u202e".encode(), b"n" * 255):
        os.mkdir(name)
        with open(name + b"/" + name, "w") as file:
            file.write("x")
        os.chmod(name, 0o100)
    return 4
