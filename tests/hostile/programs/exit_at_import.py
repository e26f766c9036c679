#| tries = "end with status 0 before any check"
#| rows = [13]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
import os

os._exit(0)
