#| tries = "patch json, struct, marshal and os.write, with which the guest might write its answer"
#| rows = [15]
#| docker = "FAIL"
#| wasm = "FAIL"
import json, marshal, os, struct, sys

for module in (json, struct, marshal):
    for name in ("dumps", "dump", "pack", "loads", "unpack"):
        if hasattr(module, name):
            setattr(module, name, lambda *args, **named: b"i\1\0\0\0\4")
for name in ("os", "posix"):
    vars(sys.modules[name])["write"] = lambda fd, data: len(data)


def f(x):
    return 5
