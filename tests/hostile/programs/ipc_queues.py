#| tries = "use queues and shared memory of System V and POSIX, which outlive a process"
#| rows = [7]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import ctypes


def f():
    libc, got = ctypes.CDLL(None, use_errno=True), []
    calls = {"shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "msgsnd": 69, "shmat": 30}
    for name, number in calls.items():
        if libc.syscall(number, 0, 4096, 0o1666, 0) != -1 or ctypes.get_errno() not in (1, 38):
            got.append(name)
    return got
