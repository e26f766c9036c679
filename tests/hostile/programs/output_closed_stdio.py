#| tries = "print the answer where nobody reads it, and close standard output"
#| checks = [{ stdin = "2\n", stdout = "4" }]
#| docker = "FAIL"
#| wasm = "FAIL"
import os, sys

os.close(1)
sys.stderr.write("4\n")
