#| tries = "return what would run code where it is unpickled, and unpickle a bomb itself"
#| rows = [32]
#| docker = "FAIL"
#| wasm = "FAIL"
import os, pickle


class Bomb:
    def __reduce__(self):
        return os._exit, (0,)


def f(x):
    return pickle.dumps(Bomb()), Bomb()
