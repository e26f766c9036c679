#| tries = "leave by sys.exit at import"
#| rows = [13]
#| docker = "NO_VERDICT"
#| wasm = "NO_VERDICT"
import sys

sys.exit(0)
