#| tries = "find the inputs of the checks that come later"
#| rows = [17]
#| checks = [{ call = "f(2)", expected = "[]" }, { call = "f('later-input-9a7')", expected = "[]" }]
#| docker = "PASS"
#| wasm = "PASS"
import gc, sys


def f(x):
    if x != 2:
        return []
    frame, found = sys._getframe(), []
    while frame:
        found += list(map(repr, frame.f_locals.values()))
        frame = frame.f_back
    found += [repr(value) for value in gc.get_objects() if type(value) in (list, tuple, dict) and len(value) < 100]
    needle = "-".join(("later", "input", "9a7"))
    return [text[:200] for text in found if needle in text and "needle" not in text and "def f" not in text]
