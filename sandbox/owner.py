"""Whose container is this? Labels that let a later start remove what a dead process left, and nothing else.

A container carries an owner (this machine and process namespace) and the process that made it. Age says nothing: a
container is swept only where its owner is ours and its process is gone.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path

LABEL = "atlas.sandbox"
OWNER = f"{LABEL}.owner"
PROCESS = f"{LABEL}.process"
CREATED = f"{LABEL}.created_at"


def owner_id() -> str:
    """Names the machine and process namespace in which process ids mean something to us."""
    namespace = ""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        pass  # no /proc (macOS): the host's name has to do
    return hashlib.sha256(f"{socket.gethostname()} {namespace} {os.getuid()}".encode()).hexdigest()[:12]


def boot_id() -> str:
    """Names this boot of the machine; empty where the system does not say."""
    return _read("/proc/sys/kernel/random/boot_id")


def process_id(pid: int) -> str:
    """Names one process for good: boot of the machine, process number, and when it started."""
    return f"{boot_id()}/{pid}/{_started(pid)}"


def is_alive(process: str) -> bool:
    """Whether the process that `process_id` named still runs."""
    try:
        pid = int(process.split("/")[1])
        os.kill(pid, 0)
    except (ValueError, IndexError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # it is there, and another user's
    return process_id(pid) == process


def labels() -> dict[str, str]:
    """Labels for a container that this process makes now."""
    return {LABEL: "1", OWNER: owner_id(), PROCESS: process_id(os.getpid()), CREATED: str(int(time.time()))}


def _started(pid: int) -> str:
    """Start time in clock ticks: field 22 of stat, counted after the name, which may hold anything."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
