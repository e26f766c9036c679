#| tries = "end with status 0 and print nothing"
#| rows = [13]
#| checks = [{ stdin = "2\n", stdout = "4" }]
#| docker = "FAIL"
#| wasm = "FAIL"
import os

os._exit(0)
