#| tries = "return bytes that the host's remainder operator would format to gigabytes"
#| checks = [{ code = "assert f(2) % 3 == 1" }]
#| docker = "FAIL"
#| wasm = "FAIL"
def f(x):
    return bytearray(b"%8000000000d")
