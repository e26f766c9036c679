#| tries = "nothing: give items one by one, without end, as a right program does"
#| checks = [{ code = "from itertools import islice\ng = f(2)\nassert next(g) == 2\nassert list(islice(g, 2)) == [3, 4]\nassert list(islice(f(5), 1)) == [5]" }]
#| docker = "PASS"
#| wasm = "PASS"
def f(x):
    while True:
        yield x
        x += 1
