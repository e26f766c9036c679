#| tries = "use what the kernel has that is seldom looked at: io_uring, bpf, userfaultfd, perf, keys, secret memory"
#| rows = [37, 38]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import ctypes


def f():
    libc, got = ctypes.CDLL(None, use_errno=True), []
    buffer = ctypes.create_string_buffer(256)
    calls = {
        "io_uring_setup": (425, 8, buffer), "io_uring_enter": (426, 0, 0, 0, 0), "io_uring_register": (427, 0, 0, 0, 0),
        "userfaultfd": (323, 0), "userfaultfd, user only": (323, 1), "bpf": (321, 0, buffer, 128),
        "perf_event_open": (298, buffer, 0, -1, -1, 0), "memfd_secret": (447, 0), "io_setup": (206, 8, buffer),
        "add_key": (248, b"user", b"a", b"b", 1, -3), "keyctl": (250, 0, -3, 0), "request_key": (249, b"user", b"a", 0, -3),
        "kexec_load": (246, 0, 0, 0, 0), "init_module": (175, buffer, 0, b""), "finit_module": (313, 0, b"", 0),
        "delete_module": (176, b"x", 0), "reboot": (169, 0xFEE1DEAD, 672274793, 0x1234567), "swapon": (167, b"/box/x", 0),
        "syslog": (103, 3, buffer, 10), "acct": (163, b"/box/x"), "quotactl": (179, 0, 0, 0, 0), "iopl": (172, 3),
        "ioperm": (173, 0, 1, 1), "modify_ldt": (154, 0, buffer, 16), "lookup_dcookie": (212, 0, buffer, 8),
        "name_to_handle_at": (303, -100, b"/", buffer, buffer, 0), "open_by_handle_at": (304, -100, buffer, 0),
        "fanotify_init": (300, 0, 0), "settimeofday": (164, buffer, 0), "clock_settime": (227, 0, buffer),
        "adjtimex": (159, buffer), "personality, no randomness": (135, 0x0040000), "personality, 32 bits": (135, 8),
        "personality, executable reads": (135, 0x0400000), "seccomp": (317, 0, 0, 0), "vhangup": (153,),
        "sync": (162,), "syncfs": (306, 1), "landlock": (444, 0, 0, 1), "mbind": (237, 0, 0, 0, 0, 0, 0),
        "process_mrelease": (448, 0, 0), "pidfd_getfd": (438, 0, 0, 0), "quotactl_fd": (443, 0, 0, 0, 0),
        "uselib": (134, b"/box/x"), "sysfs": (139, 3), "ustat": (136, 0, buffer), "unknown": (999,), "unknown, large": (4095,),
    }  # fmt: skip
    for name, call in calls.items():
        ctypes.set_errno(0)
        if libc.syscall(*call) != -1 or ctypes.get_errno() not in (1, 38):
            got.append(f"{name} {ctypes.get_errno()}")
    return got
