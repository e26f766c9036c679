#| tries = "unpack a few kilobytes that hold gigabytes"
#| rows = [32]
#| docker = ["OOM", "ERROR"]
import zlib


def f(x):
    packer = zlib.compressobj(9)
    small = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(1_024)) + packer.flush()
    return len(zlib.decompress(small))
