#| tries = "look fast by changing every clock of Python"
#| rows = [44]
#| docker = "TIMEOUT"
#| wasm = "TIMEOUT"
#| limits = { wall_s = 0.5 }
import time

for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "time_ns", "monotonic_ns"):
    setattr(time, name, lambda: 0)
sleep, time.sleep = time.sleep, lambda seconds: None


def f(x):
    sleep(60)
    return 4
