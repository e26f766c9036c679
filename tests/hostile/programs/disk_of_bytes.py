#| tries = "fill the disk with one file after the other"
#| rows = [6]
#| docker = "ERROR"
#| message = "No space left on device"
def f(x):
    number = 0
    while True:
        number += 1
        with open(str(number), "wb", buffering=0) as file:
            for _ in range(100):
                file.write(b"x" * 65536)
