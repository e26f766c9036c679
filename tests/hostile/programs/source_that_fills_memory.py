#| tries = "use up memory while it is compiled, before any line of it runs"
#| rows = [33]
#| docker = ["OOM", "SYNTAX"]
#| wasm = ["SYNTAX", "OOM"]
#| message = "[Mm]emory"
#| replace = { LONG = ["x = [1, 2]\n", 90000] }
LONG


def f(x):
    return 4
