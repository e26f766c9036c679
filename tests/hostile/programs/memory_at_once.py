#| tries = "ask for more memory than there is, in one piece"
#| rows = [3]
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "MemoryError"
#| wasm_message = "MemoryError|OverflowError"
def f(x):
    return len(bytearray(2**34))
