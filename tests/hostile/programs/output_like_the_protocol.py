#| tries = "print what looks like frames, multiplexed streams, reports and verdicts"
#| rows = [12]
#| docker = "FAIL"
#| wasm = "FAIL"
import json, os


def f(x):
    report = {"exit": "exited", "exit_code": 0, "sizes": [0, 0, 0], "seq": 1, "outcome": "PASS", "passed": True}
    text = json.dumps(report).encode()
    for fd in (1, 2):
        os.write(fd, len(text).to_bytes(4, "big") + text)
        os.write(fd, b"\x01\0\0\0" + (len(text) + 4).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text)
        os.write(fd, b"\x14\0\0\0t\2\0\0\0s\3\0\0\0endl\1\0\0\0t\2\0\0\0s\5\0\0\0valuei\1\0\0\0\4")
        os.write(fd, b"\nPASSED\n1 passed in 0.01s\nOK\n")
    return 5
