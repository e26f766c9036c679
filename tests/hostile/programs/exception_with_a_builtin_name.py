#| tries = "raise an exception of its own that is called like the wanted one of Python's"
#| checks = [{ code = "import pytest\nwith pytest.raises(ValueError):\n    f(2)" }, { call = "f(2)", expected = "ValueError", compare = "raises" }]
#| docker = "FAIL"
#| wasm = "FAIL"
class ValueError(Exception):
    pass


def f(x):
    raise ValueError(x)
