#| tries = "fill the disk with names of one file, and with directories in directories"
#| rows = [6]
#| docker = "ERROR"
#| message = "No space left on device|File name too long|Too many links"
import os


def f(x):
    open("file", "w").close()
    for number in range(1_000):
        os.link("file", f"name{number}")
        os.symlink("file" * 50, f"link{number}")
    while True:
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
