#| tries = "open every device, terminal and hidden file of the kernel"
#| rows = [41]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os


def f():
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout", "stderr", "core"}
    got = []
    for root, folders, names in os.walk("/dev"):
        folders[:] = [name for name in folders if name not in ("fd",)]
        for name in names:
            try:
                os.close(os.open(f"{root}/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
                got += [f"{root}/{name}"] if name not in harmless else []
            except OSError:
                pass
    for path in ("kcore", "kallsyms", "kmsg", "sysrq-trigger", "timer_list", "keys", "sched_debug", "latency_stats"):
        try:
            with open(f"/proc/{path}", "rb") as file:
                data = file.read(100_000)
                got += [path] if data and (path != "kallsyms" or data.split(b" ")[0].strip(b"0")) else []
        except OSError:
            pass
    return got
