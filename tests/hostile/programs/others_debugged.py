#| tries = "attach to the supervisor, write into its memory, take its descriptors"
#| rows = [22]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import ctypes, os


def f():
    libc, got = ctypes.CDLL(None, use_errno=True), []
    buffer = ctypes.create_string_buffer(64)
    for target in (1, os.getppid()):
        calls = {
            "ptrace attach": (101, 16, target, 0, 0),
            "ptrace seize": (101, 0x4206, target, 0, 0),
            "process_vm_readv": (310, target, buffer, 1, buffer, 1, 0),
            "process_vm_writev": (311, target, buffer, 1, buffer, 1, 0),
            "pidfd_open": (434, target, 0),
            "kcmp": (312, os.getpid(), target, 0, 0, 0),
            "process_madvise": (440, target, buffer, 1, 4, 0),
            "prlimit": (302, target, 7, buffer, 0),
            "move_pages": (279, target, 0, 0, 0, 0, 0),
        }
        for name, call in calls.items():
            ctypes.set_errno(0)
            if libc.syscall(*call) != -1 or ctypes.get_errno() not in (1, 13, 38):
                got.append(f"{name} {target} {ctypes.get_errno()}")
    if libc.syscall(101, 0, 0, 0, 0) != -1:
        got.append("ptrace traceme")
    return got
