"""From limits to a container: pure functions, so that every hardening setting can be read and tested in one place."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from sandbox.seccomp import profile
from sandbox.types import Language, Limits

MIB = 1024 * 1024
SUPERVISOR_MB = 32
"""Room for the supervisor itself: about 20 MiB resident, and the results it holds until they are sent."""
SUPERVISOR_PIDS = 2
"""init and the supervisor. The helper that wipes runs when the program is dead."""
GVISOR_MB, GVISOR_PIDS = 64, 200
"""What gVisor's own kernel, a process outside the program's reach, uses of the container's limits."""
SHM_MB = 8
INODES = 4096
MAX_ADDRESS_SPACE_MB = 4096
FILE_MB = 16
INTERPRETER = ("/usr/bin/python3.11", "-I", "-S", "-B", "-X", "utf8")
CPU_S_PER_S = 1.0
GVISOR = "runsc"

PRELOAD = (  # what most programs import; every module here makes every fork a little slower
    "typing", "math", "collections", "collections.abc", "re", "itertools", "functools", "heapq", "bisect", "string",
    "operator", "copy", "json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is fixed when a container is made. Runs whose limits give the same shape can share a warm pool."""

    language: Language
    memory_mb: int
    pids: int
    disk_mb: int
    output_bytes: int

    @classmethod
    def of(cls, language: Language, limits: Limits) -> Shape:
        """The shape that enforces `limits`. Clocks are not in it: the supervisor takes those with each request."""
        return cls(
            language=language,
            memory_mb=limits.memory_mb,
            pids=limits.pids,
            disk_mb=min(limits.disk_mb, limits.memory_mb // 2),  # a tmpfs lies in memory: full must not mean dead
            output_bytes=limits.output_bytes,
        )

    @property
    def container_mb(self) -> int:
        """Memory limit of the container: the program's, the supervisor's, and the output that the latter holds."""
        return self.memory_mb + SUPERVISOR_MB + 4 * self.output_bytes // MIB


def host_config(shape: Shape, runtime: str | None, cgroup_parent: str | None) -> dict[str, Any]:
    """Keyword arguments for docker-py's `create_host_config`: every limit and every hardening setting."""
    gvisor = runtime == GVISOR
    execution = "exec" if shape.language == "cpp" else "noexec"  # only a compiler's output is run from there
    memory = (shape.container_mb + gvisor * GVISOR_MB) * MIB
    return {
        "network_mode": "none",
        "sysctls": {"net.ipv4.tcp_max_tw_buckets": "0"},  # a port that stays taken would tell the next check
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["SETUID", "SETGID", "KILL"],  # for the supervisor; the program has another uid and none of them
        "security_opt": ["no-new-privileges", f"seccomp={profile()}"],
        "pids_limit": shape.pids + SUPERVISOR_PIDS + gvisor * GVISOR_PIDS,
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(CPU_S_PER_S * 1e9),
        "ipc_mode": "private",
        "shm_size": SHM_MB * MIB,
        "tmpfs": {"/box": f"size={shape.disk_mb}m,nr_inodes={INODES},mode=1777,nosuid,nodev,{execution}"},
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": 256, "Hard": 256},
            {"Name": "fsize", "Soft": FILE_MB * MIB, "Hard": FILE_MB * MIB},
        ],
        "init": not gvisor,  # gVisor knows no subreapers, so there the supervisor itself is process 1
        "log_config": {"Type": "none"},
        "auto_remove": True,
        "runtime": runtime,
        "cgroup_parent": cgroup_parent,
    }


def container_config(image: str, labels: dict[str, str]) -> dict[str, Any]:
    """Keyword arguments for docker-py's `create_container`, without the host's part."""
    return {
        "image": image,
        "command": [*INTERPRETER, "-c", guest_sources()["sandbox.guest.loader"]],
        "entrypoint": [],
        "user": "0:0",
        "working_dir": "/",
        "hostname": "sandbox",
        "environment": {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        "labels": labels,
        "stdin_open": True,
        "tty": False,
    }


def guest_sources() -> dict[str, str]:
    """Module name to source text of everything that runs inside; an empty text is a package."""
    sources = {"sandbox": "", "sandbox.guest": ""}
    for file in files("sandbox.guest").iterdir():
        if file.name.endswith(".py") and file.name != "__init__.py":
            sources[f"sandbox.guest.{file.name.removesuffix('.py')}"] = file.read_text(encoding="utf-8")
    return sources


def boot_config(shape: Shape, max_life_s: int) -> dict[str, Any]:
    """What the supervisor is told when it starts."""
    python = shape.language == "python"
    return {
        "language": shape.language,
        "max_life_s": max_life_s,
        # V8 and others reserve addresses by the terabyte, which costs nothing; memory itself is the container's limit
        "address_space": max(MAX_ADDRESS_SPACE_MB, 4 * shape.memory_mb) * MIB if python else None,
        "preload": list(PRELOAD) if python else [],
    }
