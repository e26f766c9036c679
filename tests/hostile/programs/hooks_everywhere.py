#| tries = "alter what is returned through tracing, profiling, audit hooks, exit functions and destructors"
#| rows = [18]
#| docker = ["TAMPERED", "FAIL"]
#| wasm = ["TAMPERED", "FAIL"]
import atexit, sys, weakref


class Late:
    def __del__(self):
        answer[0] = 4


answer, late = [5], Late()


def change(frame, event, value):
    for name in list(frame.f_locals):
        if name in ("value", "entry", "result"):
            frame.f_locals[name] = 4
    return change


def f(x):
    atexit.register(answer.__setitem__, 0, 4)
    weakref.finalize(late, answer.__setitem__, 0, 4)
    sys.addaudithook(lambda *args: None)
    sys.settrace(change)
    sys.setprofile(change)
    sys._getframe().f_back.f_trace = change
    sys.excepthook = sys.unraisablehook = sys.displayhook = lambda *args: answer.__setitem__(0, 4)
    return answer[0]
