#| tries = "raise an exception whose name is larger than a frame"
#| docker = "ERROR"
#| wasm = "ERROR"
def f(x):
    raise type("E" * 5_000_000, (Exception,), {})("x" * 10_000_000)
