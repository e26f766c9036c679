#| tries = "stop, kill or disturb the supervisor and init with every signal"
#| rows = [23]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os, signal


def f():
    got = []
    for target in (1, os.getppid()):
        for number in range(1, signal.NSIG):
            try:
                os.kill(target, number)
                got.append((target, number))
            except PermissionError:
                pass
    for change in (lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19), lambda: os.sched_setaffinity(1, {0})):
        try:
            change()
            got.append("priority")
        except PermissionError:
            pass
    return got
