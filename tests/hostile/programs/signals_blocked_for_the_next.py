#| tries = "change what a process passes on: signal masks, limits, umask, folder, locale, recursion limit"
#| docker = "PASS"
#| wasm = "PASS"
#| checks = [{ call = "f(2)", expected = "4" }, { call = "f(3)", expected = "6" }]
import locale, os, sys


def f(x):
    if sys.getrecursionlimit() > 10_000 or "DIRTY" in os.environ:
        return "dirty"
    sys.setrecursionlimit(10**9)
    sys.set_int_max_str_digits(0)
    sys.setswitchinterval(100)
    os.environ["DIRTY"] = "yes"
    os.environ["LC_ALL"] = os.environ["TZ"] = "x" * 10_000
    try:
        import resource, signal

        needed = {resource.RLIMIT_CPU: 5, resource.RLIMIT_STACK: 4 << 20}  # or it would not live to answer
        needed |= {resource.RLIMIT_AS: 1 << 30, resource.RLIMIT_DATA: 1 << 30}
        for limit in range(16):
            try:
                resource.setrlimit(limit, (needed.get(limit, 0),) * 2)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        locale.setlocale(locale.LC_ALL, "C")
        os.umask(0o777)
        os.chdir("/")
        os.setsid()
    except (ImportError, OSError, ValueError):
        pass
    return 2 * x
