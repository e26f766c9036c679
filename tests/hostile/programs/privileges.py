#| tries = "become another user, gain capabilities, use setuid files, and debug what has them"
#| rows = [39]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import ctypes, os, stat


def f():
    got, libc = [], ctypes.CDLL(None, use_errno=True)
    for change in (os.setuid, os.setgid, os.seteuid, os.setegid, lambda one: os.setgroups([one]), os.setreuid, os.setresgid):
        for arguments in ((0,), (0, 0), (0, 0, 0)):
            try:
                change(*arguments)
                got.append(f"{change}")
            except (OSError, TypeError):
                pass
    for line in open("/proc/self/status"):
        name, value = line.split(":", 1)
        if name.startswith("Cap") and int(value, 16) & ~0xE0 or name in ("CapPrm", "CapEff", "CapAmb") and int(value, 16):
            got.append(line.strip())
        if name == "NoNewPrivs" and value.strip() != "1" or name == "Seccomp" and value.strip() != "2":
            got.append(line.strip())
    for capability in range(41):
        if libc.prctl(47, 2, capability, 0, 0) == 0:
            got.append(f"ambient {capability}")
    for folder in ("/usr", "/bin", "/sbin", "/lib"):
        for root, _, names in os.walk(folder):
            for name in names:
                mode = os.lstat(f"{root}/{name}").st_mode
                if stat.S_ISREG(mode) and mode & 0o6000:
                    got.append(f"{root}/{name}")
    with open("/box/run/own", "w") as file:
        file.write("#!/usr/bin/python3\nprint(1)\n")
    try:
        os.chmod("/box/run/own", 0o6777)
        os.execv("/box/run/own", ["own"])
    except OSError:
        pass
    return got
