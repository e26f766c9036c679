#| tries = "read and change the input before anybody asks for it, and the input of the check after"
#| checks = [{ stdin = "2\n", stdout = "2" }, { stdin = "3\n", stdout = "3" }]
#| docker = "PASS"
#| wasm = "PASS"
import os

data = os.read(0, 1 << 20)
try:
    os.lseek(0, 0, 0)
    os.write(0, b"9" * 100)
    os.ftruncate(0, 0)
except OSError:
    pass
print(data.decode().strip())
