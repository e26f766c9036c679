#| tries = "make a file of a terabyte that holds nothing"
#| rows = [9]
#| docker = "ERROR"
#| message = "File too large"
def f(x):
    with open("sparse", "wb") as file:
        file.truncate(1 << 40)
    return 4
