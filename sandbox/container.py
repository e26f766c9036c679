"""One container with a supervisor in it: made, attached, started and warm, ready to run steps."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from sandbox import docker_spec, frames, owner
from sandbox.docker_spec import MIB, Shape
from sandbox.engine import Engine
from sandbox.errors import SandboxMisconfigured, SandboxUnavailable
from sandbox.link import Link, LinkLost
from sandbox.raw import Exit, Raw
from sandbox.types import Limits

RESULT_MAX = 5 * MIB
"""More than the guest's own cap on a result, which it enforces."""
BOOT_SECONDS = 30.0
GRACE_SECONDS = 2.0
"""How much later than its own deadline a supervisor may report before the host gives the container up."""
START_SECONDS = 5.0
"""For receiving a request's body; the program's clock starts after that."""
MAX_LIFE_SECONDS = 1200
MAX_AGE_SECONDS = 600.0


class Request(Protocol):
    """What a container is asked to do once, in a fresh process."""

    @property
    def source(self) -> str:
        """The program's text."""
        ...

    @property
    def kind(self) -> str:
        """What `sandbox.guest.child.run_step` calls it."""
        ...

    @property
    def payload(self) -> dict[str, object]:
        """JSON-able inputs; never an expected value."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The plainest `Request`."""

    source: str
    kind: str
    payload: dict[str, object]


_FIRST_STEP = _Step(source="", kind="load", payload={})
"""Run while a container is made: the first step takes twice as long as any later one."""


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Everything that containers of one sandbox have in common."""

    engine: Engine
    image: str
    runtime: str | None = None
    cgroup_parent: str | None = None

    async def make(self, shape: Shape) -> Container:
        """A container that has said hello. Takes some 0.3 s; leaves nothing behind where it fails.

        Raises:
            SandboxUnavailable: the engine refuses, or the container does not come up.
            SandboxMisconfigured: the engine would not enforce a limit.
        """
        host = docker_spec.host_config(shape, self.runtime, self.cgroup_parent)
        name, warnings = await self.engine.create(docker_spec.container_config(self.image, owner.labels()), host)
        link: Link | None = None
        try:
            if lost := [line for line in warnings if "discarded" in line.lower()]:
                raise SandboxMisconfigured(f"This engine does not enforce every limit: {' '.join(lost)}")
            sock = await self.engine.attach(name)
            link = await Link.open(sock, RESULT_MAX + 4 * shape.output_bytes)
            await self.engine.start(name)
            link.send(frames.boot_frame(docker_spec.guest_sources(), docker_spec.boot_config(shape, MAX_LIFE_SECONDS)))
            hello, _blobs = await link.report(BOOT_SECONDS)
            container = Container(self.engine, name, shape, link, missing=tuple(hello["missing"]))
            if shape.language == "python":
                await container.run(_FIRST_STEP, Limits(output_bytes=shape.output_bytes))
            return container
        except BaseException as error:
            if link is not None:
                link.close()
            await asyncio.shield(asyncio.ensure_future(self.engine.remove(name)))
            if isinstance(error, LinkLost):
                raise SandboxUnavailable(f"A container of {self.image} did not start: {error}") from error
            raise


class Container:
    """A lease on one container. Closing it is immediate and final; the engine removes what is left."""

    def __init__(self, engine: Engine, name: str, shape: Shape, link: Link, missing: tuple[str, ...]) -> None:
        self.engine = engine
        self.name = name
        self.shape = shape
        self.link = link
        self.missing = missing
        self.born = time.monotonic()
        self.uses = 0
        self._sequence = 0
        self._last = False

    @property
    def usable(self) -> bool:
        """False once it ended, gave itself up, is old, or still owes reports."""
        young = time.monotonic() - self.born < MAX_AGE_SECONDS
        return young and not self.link.lost and not self._last and not self.link.outstanding

    async def run(self, request: Request, limits: Limits) -> Raw:
        """Run one step in a fresh process.

        Raises:
            LinkLost: the container died or kept silent; whether the program is to blame is not known.
        """
        self._sequence += 1
        began = time.time()
        header = {
            "seq": self._sequence,
            "wall_s": limits.wall_s,
            "cpu_s": limits.cpu_s,
            "output_bytes": limits.output_bytes,
        }
        body = {"source": request.source, "kind": request.kind, "payload": request.payload}
        self.link.send(frames.request_frame(header, body))
        try:
            report, blobs = await self.link.report(limits.wall_s + START_SECONDS + GRACE_SECONDS)
        except LinkLost as lost:
            if not lost.silent and await self.engine.was_oom_killed(self.name, began):
                return Raw(exit=Exit.OOM)
            raise
        if report.get("seq") != self._sequence:
            self.link.close("broken protocol: reports are out of order")
            raise LinkLost(self.link.lost)
        self._last = bool(report.get("last"))
        try:
            return frames.raw_of(report, blobs)
        except frames.BrokenFrame as error:
            self.link.close(f"broken protocol: {error}")
            raise LinkLost(self.link.lost) from error

    def hang_up(self) -> None:
        """End the container by ending its standard input. Returns at once."""
        self.link.close()

    async def remove(self) -> None:
        """Hang up and have the engine remove it for certain."""
        self.link.close()
        await self.engine.remove(self.name)
