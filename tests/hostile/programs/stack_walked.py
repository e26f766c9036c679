#| tries = "walk frames and everything that the collector knows, to find the expected value"
#| rows = [17]
#| checks = [{ call = "f()", expected = "'nowhere-7f3a9'" }]
#| docker = "FAIL"
#| wasm = "FAIL"
import gc, sys


def f():
    frame, found = sys._getframe(), []
    while frame:
        found += [*frame.f_locals.values(), *frame.f_globals.values(), *frame.f_code.co_consts]
        frame = frame.f_back
    needle, seen, todo = "-".join(("where", "7f3a9")), set(), found + gc.get_objects()
    while todo and len(seen) < 200_000:
        value = todo.pop()
        if id(value) not in seen:
            seen.add(id(value))
            if type(value) is str and needle in value and value is not needle:
                return value
            todo += gc.get_referents(value)
    return "not found"
