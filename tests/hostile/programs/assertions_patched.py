#| tries = "patch what test runners use: unittest, pytest, AssertionError, assert itself"
#| rows = [15]
#| checks = [{ code = "import pytest\nassert f(2) == 4\nwith pytest.raises(ValueError):\n    f(None)" }]
#| docker = "FAIL"
#| wasm = "FAIL"
import builtins, sys, types

builtins.AssertionError = type("AssertionError", (BaseException,), {"__new__": lambda *args: SystemExit(0)})
fake = types.ModuleType("pytest")
fake.raises = lambda *args, **named: type("All", (), {"__enter__": id, "__exit__": lambda *args: True})()
sys.modules["pytest"] = sys.modules["unittest"] = fake


def f(x):
    return 5
