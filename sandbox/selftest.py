"""Proves, before anything is served, that each limit holds: runs programs that would break it.

A setting that an engine accepts and ignores (rootless Docker or Podman without delegated control groups, a runtime
without seccomp) shows here and nowhere else. The proof is kept for this image, engine, configuration and boot, because
nothing of those can change underneath it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.checks import Step
from sandbox.errors import SandboxUnavailable
from sandbox.link import LinkLost
from sandbox.owner import boot_id
from sandbox.raw import Exit, Raw
from sandbox.types import Limits

HELD = "held"
_PRELUDE = '''
import errno, os, socket

def refused(what, *numbers):
    """True where `what` fails with one of the errors `numbers`; anything else means that it was possible."""
    try:
        what()
    except OSError as error:
        return error.errno in numbers
    return False
'''
_EPILOGUE = f'\nprint("{HELD}" if held else "got through")\n'


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One program that attacks one limit, and how it has to end."""

    name: str
    source: str
    ends: Exit = Exit.EXITED
    pids_hit: bool = False
    may_end_it: bool = False
    """The limit may hold by ending the whole container, as gVisor does: its kernel lives within the same limits."""
    wall_s: float = 60.0

    def failure(self, raw: Raw) -> str:
        """Why the limit does not hold; empty where it does."""
        if self.may_end_it and raw.exit is Exit.OOM:
            return ""
        if raw.exit is not self.ends:
            return f"{self.name}: ended with {raw.exit.value}, not {self.ends.value} {_tail(raw.stderr)}"
        if self.ends is Exit.EXITED and raw.stdout.strip() != HELD.encode():
            return f"{self.name}: {_tail(raw.stdout)} {_tail(raw.stderr)}"
        if self.pids_hit and not raw.pids_hit:
            return f"{self.name}: the limit on processes was never reached"
        return ""


def _tail(data: bytes) -> str:
    return data[-200:].decode("utf-8", "backslashreplace").strip()


def _attempt(name: str, body: str, **expectations: float | bool) -> Probe:
    return Probe(name=name, source=_PRELUDE + body + _EPILOGUE, **expectations)  # type: ignore[arg-type]


_PROBES = (
    _attempt(
        "processes",
        """
import time
children, held = [], False
for _ in range(5000):
    try:
        child = os.fork()
    except OSError as error:
        held = error.errno == errno.EAGAIN
        break
    if child == 0:
        time.sleep(60)
        os._exit(0)
""",
        pids_hit=True,
    ),
    Probe(name="memory", source="x = []\nwhile True:\n    x.append(b'x' * 2**20)\n", ends=Exit.OOM),
    Probe(name="output", source="while True:\n    print('x' * 1000)\n", ends=Exit.OUTPUT_LIMIT),
    Probe(name="wall clock", source="import time\ntime.sleep(60)\n", ends=Exit.TIMEOUT, wall_s=0.2),
    _attempt(
        "disk",
        """
def fill():
    with open("big", "wb", buffering=0) as file:
        for _ in range(1 << 16):
            if file.write(b"x" * 65536) < 65536:
                raise OSError(errno.ENOSPC, "short write")

def litter():
    for number in range(1 << 20):
        os.close(os.open(str(number), os.O_CREAT))

held = refused(fill, errno.ENOSPC, errno.EFBIG)
os.unlink("big")
held = refused(litter, errno.ENOSPC) and held
""",
    ),
    _attempt(
        "read-only root",
        """
held = GVISOR or bool(os.statvfs("/").f_flag & os.ST_RDONLY)
held = held and all([
    refused(lambda place=place: open(place + "/planted", "w"), errno.EROFS, errno.EACCES, errno.ENOENT, errno.EPERM)
    for place in ("", "/usr", "/usr/lib/python3.11", "/etc", "/dev", "/proc/sys/kernel", "/sys/fs/cgroup")
])

writable = set()
for place, folders, _files in os.walk("/"):
    folders[:] = [name for name in folders if place + name not in ("/proc", "/sys")]
    if os.access(place, os.W_OK):
        writable.add(place)
held = held and writable <= {"/box", "/box/run", "/dev/shm", "/dev/mqueue", "/tmp"}  # these are emptied after each step
""",
    ),
    _attempt(
        "other processes",
        """
import signal

held = os.getuid() not in (0,) and refused(lambda: os.setuid(0), errno.EPERM)
for process in {1, os.getppid()}:
    memory = f"/proc/{process}/mem"
    held = refused(lambda: open(memory, "rb").read(1), errno.EACCES, errno.EPERM, errno.ENOENT) and held
    held = refused(lambda: os.kill(process, signal.SIGSTOP), errno.EPERM) and held
""",
    ),
    _attempt(
        "system calls",
        """
import ctypes

libc = ctypes.CDLL(None, use_errno=True)

def denied(call, *arguments):
    ctypes.set_errno(0)
    return call(*arguments) == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)

held = GVISOR or all([  # gVisor answers system calls itself, and never passes them on
    denied(libc.ptrace, 0, 0, 0, 0),  # to be traced by the parent, which every other profile allows
    denied(libc.process_vm_readv, os.getpid(), 0, 0, 0, 0, 0),
    denied(libc.unshare, 0x10000000),  # a user namespace of its own
    denied(libc.syscall, 425, 1, 0),  # io_uring_setup
])
""",
    ),
    _attempt(
        "network",
        """
def reach(address):
    with socket.socket() as one:
        one.settimeout(2)
        one.connect((address, 80))

names = ("AF_VSOCK", "AF_ALG", "AF_PACKET") + (() if GVISOR else ("AF_NETLINK",))  # gVisor's netlink is its own
families = [getattr(socket, name) for name in names if hasattr(socket, name)]
nowhere = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM)
held = all([refused(lambda: reach(ip), *nowhere) for ip in ("1.1.1.1", "169.254.169.254")])
for family in families:
    held = refused(lambda: socket.socket(family, socket.SOCK_RAW), errno.EPERM, errno.EAFNOSUPPORT) and held
held = os.listdir("/sys/class/net") == ["lo"] and not os.path.exists("/var/run/docker.sock") and held
""",
    ),
)


def probes(*, gvisor: bool = False) -> list[Probe]:
    """The probes for a runtime. Only what gVisor's own kernel does differently, and safely, differs."""
    found = []
    for probe in _PROBES:
        source = f"GVISOR = {gvisor}\n{probe.source}"
        crowded = gvisor and probe.name in ("processes", "disk")
        found.append(replace(probe, source=source, may_end_it=crowded, pids_hit=probe.pids_hit and not gvisor))
    return found


async def prove(once: Callable[[Step, Limits], Awaitable[Raw]], limits: Limits, attacks: Sequence[Probe]) -> None:
    """Run every probe; raise SandboxUnavailable, naming each limit that does not hold.

    Args:
        once: runs one step within limits, in a fresh process of the sandbox that is to be proven.
        limits: what the sandbox's containers were made for. The clocks are the probes' own.
        attacks: what to run.
    """
    failures = [await _failure(probe, once, limits) for probe in attacks]
    if any(failures):
        raise SandboxUnavailable(
            "The sandbox does not hold, so nothing will be run in it. " + "; ".join(filter(None, failures)) + ". "
            "Rootless engines need cgroup v2 with the controllers cpu, memory and pids delegated to the user."
        )


async def _failure(probe: Probe, once: Callable[[Step, Limits], Awaitable[Raw]], limits: Limits) -> str:
    """Why the limit does not hold; empty where it does. A container that is lost for once says nothing of it."""
    step = Step(kind="stdio", source=probe.source, payload={"stdin": ""}, check_index=0)
    own = limits.model_copy(update={"wall_s": probe.wall_s, "cpu_s": probe.wall_s})
    try:
        try:
            return probe.failure(await once(step, own))
        except LinkLost:
            return "" if probe.may_end_it else probe.failure(await once(step, own))
    except LinkLost as lost:
        return f"{probe.name}: {lost}"


class Proof:
    """Remembers, in one small file, what has been proven since the machine was started."""

    def __init__(self, folder: Path, *facts: object) -> None:
        self._name = hashlib.sha256(json.dumps([boot_id(), *map(str, facts)]).encode()).hexdigest()
        self._file = folder / "sandbox-proof.json"

    def holds(self) -> bool:
        """Whether these facts have been proven on this boot."""
        try:
            return bool(self._name in json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return False

    def keep(self) -> None:
        """Remember that they have. A cache that cannot be written only costs time at the next start."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps([self._name]), encoding="utf-8")
        except OSError:
            return
