#| tries = "start threads for ever"
#| rows = [2]
#| docker = "ERROR"
#| wasm = "ERROR"
#| message = "RuntimeError: can't start new thread"
import threading, time


def f(x):
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
