#| tries = "print the right output and then never end"
#| rows = [25]
#| checks = [{ stdin = "2\n", stdout = "4" }]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import atexit, time

atexit.register(time.sleep, 1e6)
print(4, flush=True)
