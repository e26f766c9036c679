#| tries = "write one file without end"
#| docker = "ERROR"
#| message = "No space left on device|File too large"
def f(x):
    with open("big", "wb") as file:
        while True:
            file.write(b"x" * 65536)
