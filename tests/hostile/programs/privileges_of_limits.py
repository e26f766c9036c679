#| tries = "raise its own limits, priority and worth to the out-of-memory killer"
#| rows = [40]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os, resource


def f():
    got = []
    for name in ("AS", "CPU", "FSIZE", "NOFILE", "CORE"):
        limit = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(limit)
        for wanted in ((resource.RLIM_INFINITY,) * 2, (hard + 1,) * 2):
            try:
                resource.setrlimit(limit, wanted)
                got.append(name)
            except (OSError, ValueError):
                pass
    changes = {
        "nice": lambda: os.nice(-1), "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "priority": lambda: os.setpriority(os.PRIO_USER, 0, -20),
        "out of memory": lambda: open("/proc/self/oom_score_adj", "w", buffering=1).write("-1000\n"),
    }
    for name, change in changes.items():
        try:
            change()
            got.append(name)
        except OSError:
            pass
    return got
