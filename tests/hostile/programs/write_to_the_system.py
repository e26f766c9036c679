#| tries = "change the system, its interpreter, its settings and its devices"
#| rows = [8, 41]
#| docker = "PASS"
#| checks = [{ call = "f()", expected = "[]" }]
import os


def f():
    got = []
    folders = (
        "/", "/usr", "/usr/bin", "/usr/lib/python3.11", "/usr/lib/python3/dist-packages", "/usr/local", "/etc", "/dev",
        "/root", "/home", "/var", "/var/tmp", "/run", "/proc", "/proc/1", "/sys", "/sys/fs/cgroup", "/lib", "/opt",
        "/sys/fs/cgroup/memory", "/dev/pts",
    )
    for folder in folders:
        for name in ("planted", "sitecustomize.py", "planted.pth"):
            try:
                with open(f"{folder}/{name}", "w"):
                    got.append(f"{folder}/{name}")
            except OSError:
                pass
    files = (
        "/etc/passwd", "/etc/ld.so.preload", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/usr/bin/python3",
        "/proc/sys/kernel/modprobe", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids/pids.max",
        "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/cgroup.procs", "/proc/sys/net/ipv4/ip_forward", "/proc/irq/0/smp_affinity",
        "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/file-max", "/proc/1/oom_score_adj", "/proc/self/loginuid",
        "/proc/self/uid_map", "/proc/self/setgroups", "/proc/self/attr/current", "/sys/power/state", "/proc/kcore",
        "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control",
    )
    for file in files:
        try:
            with open(file, "r+b", buffering=0) as opened:
                opened.write(b"1")
            got.append(file)
        except OSError:
            pass
    for change in (os.chmod, os.chown, os.utime):
        arguments = {os.chmod: (0o777,), os.chown: (65534, 65534), os.utime: ((0, 0),)}[change]
        for place in ("/", "/box", "/etc/passwd", "/dev/shm", "/dev/null", "/usr/bin/python3.11"):
            try:
                change(place, *arguments)
                got.append(f"{change.__name__} {place}")
            except OSError:
                pass
    return got
