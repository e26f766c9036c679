#| tries = "use memory bit by bit until there is none"
#| rows = [4]
#| docker = "OOM"
#| wasm = "ERROR"
#| message = "more memory than the limit"
#| wasm_message = "MemoryError"
kept = []


def f(x):
    while True:
        kept.append(b"x" * 2**20 + bytes(len(kept)))
