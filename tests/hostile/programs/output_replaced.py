#| tries = "replace standard output by something that swallows, and fails when flushed"
#| docker = "PASS"
#| wasm = "PASS"
import sys


class Swallow:
    encoding = "utf-8"

    def write(self, text):
        return len(text)

    def flush(self):
        raise KeyboardInterrupt

    def __getattr__(self, name):
        raise SystemExit(0)


def f(x):
    sys.stdout = sys.stderr = sys.__stdout__ = Swallow()
    return 4
