#| tries = "find the wanted value among the names of a script, where it is made step by step or lies in a table"
#| checks = [{ code = "wanted = [7]\nwanted.append(3)\nassert f(2) == wanted" }]
#| docker = "FAIL"
#| wasm = "FAIL"
import sys


def f(x):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals, *map(vars, [])):
            if "wanted" in names:
                return names["wanted"]
            for value in list(names.values()):
                if isinstance(value, dict) and "wanted" in value:
                    return value["wanted"]
        frame = frame.f_back
