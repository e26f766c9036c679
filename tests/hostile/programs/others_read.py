#| tries = "read the memory, environment, descriptors and system calls of init, supervisor and everything else"
#| rows = [20]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os


def f():
    got = []
    for process in os.listdir("/proc"):
        if not process.isdigit() or int(process) == os.getpid():
            continue
        for name in ("mem", "environ", "syscall", "stack", "auxv", "maps", "smaps", "pagemap", "io", "personality"):
            try:
                with open(f"/proc/{process}/{name}", "rb", buffering=0) as file:
                    if file.read(1):
                        got.append(f"{process}/{name}")
            except OSError:
                pass
        for name in ("fd", "map_files", "cwd/.", "root/.", "ns/mnt/.", "task/../fd"):
            try:
                if os.listdir(f"/proc/{process}/{name}"):
                    got.append(f"{process}/{name}")
            except OSError:
                pass
    return got
