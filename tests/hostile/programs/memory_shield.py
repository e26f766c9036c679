#| tries = "be the kernel's last choice when memory runs out, so that the supervisor dies in its place"
#| rows = [4, 40]
#| docker = "OOM"
#| message = "more memory than the limit"
import os, time


def f(x):
    for _ in range(19):
        if os.fork() == 0:
            try:
                with open("/proc/self/oom_score_adj", "w") as file:
                    file.write("0")
            except OSError:
                pass
            kept = bytearray(b"x") * (12 << 20)
            time.sleep(60)
    time.sleep(60)
