#| tries = "remember in globals, defaults, caches, modules and interned objects which check it is in"
#| rows = [43]
#| docker = "PASS"
#| wasm = "PASS"
#| checks = [{ call = "f()", expected = "1" }, { call = "f()", expected = "1" }, { call = "f()", expected = "1" }]
import builtins, functools, sys

calls = []


def f(seen=[]):
    calls.append(1)
    seen.append(1)
    builtins.seen = sys.seen = functools.seen = getattr(sys, "seen", 0) + 1
    return max(len(calls), len(seen), builtins.seen)
