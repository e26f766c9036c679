"""Counters that the kernel keeps for this container, read from inside it (cgroup v2, or v1).

An exit code cannot tell an out-of-memory kill from any other SIGKILL; these counters can.
"""

from __future__ import annotations

import os

V2 = {
    "oom": ("/sys/fs/cgroup/memory.events", b"oom_kill"),
    "pids": ("/sys/fs/cgroup/pids.events", b"max"),
    "cpu": ("/sys/fs/cgroup/cpu.stat", b"usage_usec"),
}
V1 = {
    "oom": ("/sys/fs/cgroup/memory/memory.oom_control", b"oom_kill"),
    "pids": ("/sys/fs/cgroup/pids/pids.events", b"max"),
    "cpu": ("/sys/fs/cgroup/cpuacct/cpuacct.usage", b""),
}


class Counters:
    """Open once, read often. `missing` names the counters that this container does not have."""

    def __init__(self) -> None:
        self.version = 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1
        self._files: dict[str, tuple[int, bytes]] = {}
        self.missing: list[str] = []
        for name, (path, key) in (V2 if self.version == 2 else V1).items():
            try:
                self._files[name] = (os.open(path, os.O_RDONLY | os.O_CLOEXEC), key)
            except OSError:
                self.missing.append(name)

    def read(self, name: str) -> int:
        """Value of a counter: kills, refused forks, or microseconds of CPU. 0 where it is missing."""
        if name not in self._files:
            return 0
        fd, key = self._files[name]
        text = os.pread(fd, 4096, 0)
        if not key:
            return int(text) // 1000  # v1 counts nanoseconds
        for line in text.splitlines():
            if line.startswith(key + b" "):
                return int(line[len(key) :])
        return 0
