#| tries = "have a thread change the result while it is written out"
#| checks = [{ call = "f(2)", expected = "'never'" }]
#| docker = ["FAIL", "ERROR"]
import threading


def f(x):
    value = {number: number for number in range(50_000)}

    def change():
        while True:
            value.clear()
            value.update(enumerate(range(50_000)))

    threading.Thread(target=change, daemon=True).start()
    return value
