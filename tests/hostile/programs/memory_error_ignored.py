#| tries = "catch every MemoryError and ask again"
#| rows = [5]
#| docker = ["OOM", "TIMEOUT"]
#| wasm = "TIMEOUT"
#| limits = { wall_s = 3 }
kept = []


def f(x):
    while True:
        try:
            kept.append(b"x" * 2**20 + bytes(len(kept)))
        except MemoryError:
            pass
