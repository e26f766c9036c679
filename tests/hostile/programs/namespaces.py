#| tries = "make and enter namespaces, mount, change roots"
#| rows = [36]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import ctypes, os


def f():
    libc, got = ctypes.CDLL(None, use_errno=True), []
    calls = {f"unshare {flag:#x}": (272, flag) for flag in (0x10000000, 0x20000, 0x40000000, 0x4000000, 0x2000000, 0x80)}
    calls |= {f"clone {flag:#x}": (56, flag | 17, 0, 0, 0, 0) for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000)}
    calls |= {
        "mount": (165, b"none", b"/box/run", b"tmpfs", 0, 0),
        "bind mount": (165, b"/", b"/box/run", b"", 4096, 0),
        "umount": (166, b"/dev/shm", 2),
        "pivot_root": (155, b"/box", b"/box/run"),
        "chroot": (161, b"/box"),
        "setns": (308, 0, 0),
        "clone3": (435, 0, 0),
        "open_tree": (428, -100, b"/", 1),
        "fsopen": (430, b"tmpfs", 0),
        "move_mount": (429, 0, b"", 0, b"", 0),
        "mount_setattr": (442, -100, b"/", 0, 0, 0),
        "mknod": (133, b"/box/run/null", 0o20666, 0x103),
        "sethostname": (170, b"x", 1),
    }
    for name, call in calls.items():
        ctypes.set_errno(0)
        result = libc.syscall(*call)
        if result == 0 and name.startswith("clone "):
            os._exit(0)
        if result != -1 or ctypes.get_errno() not in (1, 38):
            got.append(f"{name} {result} {ctypes.get_errno()}")
    return got
