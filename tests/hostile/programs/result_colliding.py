#| tries = "return a set whose elements all have the same hash, so that the host hashes for ever"
#| docker = "TAMPERED"
#| wasm = "TAMPERED"
def f(x):
    return {number * (2**61 - 1) for number in range(5_000)}
