#| tries = "make system calls of the x32 kind, whose numbers the filter does not list"
#| rows = [34, 38]
#| docker = ["CRASH", "PASS"]
import ctypes


def f(x):
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (521, 539, 540, 41, 272, 101):
        result = libc.syscall(0x40000000 | number, 38, 3, 0)
        if result != -1 or ctypes.get_errno() not in (1, 38):
            return "it worked"
    return 4
