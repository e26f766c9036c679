#| tries = "fill the disk with empty files"
#| rows = [6]
#| docker = "ERROR"
#| message = "No space left on device"
import os


def f(x):
    number = 0
    while True:
        number += 1
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
