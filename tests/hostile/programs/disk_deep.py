#| tries = "leave directories nested so deep that no path reaches the last, which nobody may enter"
#| rows = [28]
#| docker = "PASS"
import os


def f(x):
    for _ in range(1_500):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    os.mkdir("last", 0)
    return 4
