#| tries = "poison modules, import hooks, codecs and caches for the next check"
#| rows = [16, 18]
#| docker = "PASS"
#| wasm = "PASS"
#| checks = [{ call = "f(2)", expected = "4" }, { call = "f(3)", expected = "6" }]
import codecs, sys


class Finder:
    def find_spec(self, *args):
        raise SystemExit(0)


def f(x):
    if any(type(finder).__name__ == "Finder" for finder in sys.meta_path) or "poison" in sys.modules:
        return "poisoned"
    sys.meta_path.insert(0, Finder())
    sys.path_hooks.insert(0, Finder)
    sys.path_importer_cache.clear()
    sys.path[:] = ["/box", "/tmp"]
    codecs.register(lambda name: codecs.lookup("rot13"))
    for name in list(sys.modules):
        if name.startswith(("encodings", "codecs", "json", "collections", "sandbox")):
            sys.modules[name] = None
    sys.modules["poison"] = sys
    return 2 * x
