"""A sandbox, and what this process and machine hold on its account: the same before and after every program."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox import owner
from sandbox.engine import Engine
from sandbox.types import CallCheck, Check, Outcome, Program, Sandbox, StdioCheck
from tests.hostile.corpus import LIMITS

NORMAL = Program(source="def f(x):\n    return 2 * x\n")
NORMAL_CHECKS: tuple[Check, ...] = (CallCheck(call="f(2)", expected="4"), CallCheck(call="f([1])", expected="[1, 1]"))

TAMPERS = Program(
    source="""
import os

for fd in (0, *range(3, 64)):
    try:
        os.write(fd, b"x")
    except OSError:
        pass
"""
)
"""Costs its container, so that another has to be made."""

CENSUS = Program(
    source="""
import os, socket

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
of_libc = 3 << 31  # signals 32 and 33: glibc lets no program near them, and whoever started the engine may ignore them

for place in ("/box", "/box/run", "/dev/shm", "/dev/mqueue", "/tmp"):
    print(place, sorted(os.listdir(place)) if os.path.isdir(place) else [])
print("processes", sum(name.isdigit() for name in os.listdir("/proc")))
print("descriptors", sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4])
print("sockets", sum(len(open("/proc/net/" + name).readlines()) - 1 for name in ("unix", "udp", "raw")))
print("signals", *(hex(int(status[name], 16) & ~of_libc) for name in ("SigBlk", "SigIgn")))
"""
)
CENSUS_CHECKS: tuple[Check, ...] = (
    StdioCheck(
        stdout="""\
/box ['run']
/box/run []
/dev/shm []
/dev/mqueue []
/tmp ['run']
processes 3
descriptors [0, 1, 2, 3]
sockets 0
signals 0x0 0x1001000
"""
    ),
)
SETTLING_S = 15.0


def made_by(pid: int) -> str:
    """The label of the containers that a process made."""
    return f"{owner.PROCESS}={owner.process_id(pid)}"


def children() -> int:
    """Processes that this one has started and not yet collected."""
    count = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            count += len(task.joinpath("children").read_text().split())
    return count


@dataclass(frozen=True)
class Holdings:
    """What a leak would make more of."""

    threads: int
    descriptors: int
    children: int
    containers: int

    def exceeds(self, other: Holdings) -> bool:
        """Whether there is more of anything."""
        return (
            self.threads > other.threads
            or self.descriptors > other.descriptors
            or self.children > other.children
            or self.containers > other.containers
        )


@dataclass
class Ground:
    """One sandbox and the holdings that it started from."""

    sandbox: Sandbox
    baseline: Holdings

    @classmethod
    async def of(cls, sandbox: Sandbox) -> Ground:
        """Warm the sandbox up, then take stock. Worker threads are all started first, for they stay."""
        ground = cls(sandbox, Holdings(0, 0, 0, 0))
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.2) for _ in range(64)))
        if ground.engine:
            await asyncio.gather(*(ground.engine.call(lambda _client: time.sleep(0.2)) for _ in range(16)))
        for _ in range(3):
            assert (await sandbox.run(TAMPERS, (), LIMITS)).outcome is Outcome.TAMPERED
            assert (await sandbox.run(NORMAL, NORMAL_CHECKS, LIMITS)).passed
        await ground.quiet()
        gc.collect()
        ground.baseline = await ground.holdings()
        return ground

    @property
    def engine(self) -> Engine | None:
        """What makes the sandbox's containers, where it has any."""
        return getattr(self.sandbox, "_engine", None) if self.sandbox.isolation.startswith("docker") else None

    async def quiet(self) -> None:
        """Wait until whatever the sandbox makes in the background is made."""
        warmed_up = getattr(self.sandbox, "warmed_up", None)
        await asyncio.sleep(0.3)  # a pool starts to make the next container a moment after one was taken
        if warmed_up:
            await warmed_up()

    async def holdings(self) -> Holdings:
        """Take stock of this process, and of the containers that carry its name."""
        return Holdings(
            threads=threading.active_count(),
            descriptors=len(os.listdir("/proc/self/fd")),
            children=children(),
            containers=len(await self.engine.labelled(made_by(os.getpid()))) if self.engine else 0,
        )

    async def objection(self) -> str:
        """What a program has left behind, here or in the container; empty where all is as it was."""
        verdict = await self.sandbox.run(NORMAL, NORMAL_CHECKS, LIMITS)
        if not verdict.passed:
            return f"a normal run after it is {verdict.outcome}: {verdict.message}"
        if self.engine:
            verdict = await self.sandbox.run(CENSUS, CENSUS_CHECKS, LIMITS)
            if not verdict.passed:
                return f"it left something behind: {verdict.checks[0].actual} {verdict.message}"
        gc.collect()
        deadline = time.monotonic() + SETTLING_S
        while (now := await self.holdings()).exceeds(self.baseline):
            if time.monotonic() > deadline:
                return f"{now} after it, {self.baseline} before"
            await asyncio.sleep(0.05)
        return ""
