#| tries = "fill shared memory"
#| rows = [7]
#| docker = "ERROR"
#| message = "No space left on device"
def f(x):
    for number in range(1_000):
        with open(f"/dev/shm/{number}", "wb", buffering=0) as file:
            for _ in range(16):
                if file.write(b"x" * 65536) != 65536:
                    break
