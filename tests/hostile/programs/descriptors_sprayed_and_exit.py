#| tries = "write any old bytes into every descriptor and end with status 0"
#| rows = [19]
#| docker = "TAMPERED"
#| wasm = "TAMPERED"
import os

for fd in range(1_024):
    try:
        os.write(fd, b"pass\n\1\0PASS")
    except OSError:
        pass
os._exit(0)
