"""The sandbox on a Docker engine: a warm pool of hardened containers, a fresh process for every check.

What keeps a program in, and what does not, is in this package's README.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from sandbox import owner
from sandbox.checks import Step, judge_program
from sandbox.container import Container, Maker
from sandbox.docker_spec import GVISOR, Shape, guest_sources, host_config
from sandbox.engine import Engine
from sandbox.errors import SandboxMisconfigured
from sandbox.images.build import ensure_image
from sandbox.images.recipes import RECIPES, image_tag
from sandbox.link import LinkLost
from sandbox.pool import Gate, Pool
from sandbox.preflight import check_engine, sweep
from sandbox.raw import Exit, Raw
from sandbox.reaper import Reaper
from sandbox.selftest import Proof, probes, prove
from sandbox.types import Check, Limits, Outcome, Program, Verdict

log = logging.getLogger(__name__)
MAX_SHAPES = 8


@dataclass(frozen=True, kw_only=True)
class DockerSettings:
    """How a Docker sandbox is run. The defaults suit a laptop."""

    host: str | None = None
    """A DOCKER_HOST value; None takes the environment's, or the local engine."""
    warm: int = 2
    """Containers kept ready."""
    concurrency: int = 2
    """Programs that run at a time; each may use one CPU."""
    creators: int = 1
    """Containers made at a time: a burst of creations saturates a small host."""
    queue: int = 64
    """Callers that may wait; the next one is told that the sandbox is busy."""
    queue_wait_s: float = 60.0
    """How long one of them waits before it is told so."""
    reuse: int = 1
    """Runs that one container serves. 1 destroys it after each run; more is for programs of one trusted tenant."""
    runtime: str | None = None
    """OCI runtime, for instance "runsc" for gVisor; None takes the engine's default."""
    cgroup_parent: str | None = None
    """Control group that caps all containers together."""
    limits: Limits = field(default_factory=Limits)
    """Limits that the warm containers are made for. Runs with others work, on a container made for them."""
    proofs: Path | None = None
    """Folder that remembers a passed self-test until the next boot; None proves the limits at every start."""


class DockerSandbox:
    """Implements `sandbox.types.Sandbox`. Make one with `start`, end it with `aclose` or `async with`."""

    def __init__(self, engine: Engine, settings: DockerSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._gate = Gate(settings.concurrency, settings.queue, settings.queue_wait_s)
        self._creators = asyncio.Semaphore(settings.creators)
        self._opening = asyncio.Lock()
        self._pools: dict[Shape, Pool[Container]] = {}
        self._warm_shape = Shape.of("python", settings.limits)
        self._reaper: Reaper | None = None

    @classmethod
    async def start(cls, settings: DockerSettings | None = None) -> DockerSandbox:
        """Connect, clear away what dead processes left, build the image where it is missing, make one container.

        Raises:
            SandboxUnavailable: no engine answers, or the image cannot be built; the message says what to do.
            SandboxMisconfigured: the engine lacks the runtime, or does not enforce a limit.
        """
        settings = settings or DockerSettings()
        engine = await asyncio.to_thread(Engine, settings.host, settings.creators + 3)
        sandbox = cls(engine, settings)
        try:
            await check_engine(engine, settings.runtime)
            await sweep(engine)
            sandbox._reaper = Reaper(f"{owner.PROCESS}={owner.process_id(os.getpid())}", settings.host)
            pool = await sandbox._pool(sandbox._warm_shape)
            await sandbox._prove(pool)
        except BaseException:
            await sandbox.aclose()
            raise
        return sandbox

    @property
    def isolation(self) -> str:
        """What verdicts say kept the program in."""
        return "docker+gvisor" if self._settings.runtime == GVISOR else "docker"

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        """Judge `program` in a container of its own; see `sandbox.types.Sandbox.run`."""
        if program.language not in RECIPES:
            raise SandboxMisconfigured(f"There is no image for programs in {program.language}.")
        shape = Shape.of(program.language, limits)
        pool = self._pools.get(shape) or await self._pool(shape)
        async with self._gate.pass_through():
            run = _Run(pool, limits, self._settings.reuse)
            try:
                verdict = await judge_program(program, checks, execute=run.execute, isolation=self.isolation)
                run.spoiled = verdict.outcome is Outcome.TAMPERED
                return verdict
            except _NoAnswer as error:
                return Verdict(outcome=Outcome.SANDBOX_ERROR, isolation=self.isolation, message=str(error))
            finally:
                run.end()

    async def warmed_up(self) -> None:
        """Wait until the pool is full, for who wants to measure or to be ready for a burst."""
        await (await self._pool(self._warm_shape)).filled()

    def gauges(self) -> dict[str, float]:
        """Counts since the start, for monitoring: made, failed, warm_hits, cold_waits, reused, discarded, and more."""
        total: dict[str, float] = {"waiting": self._gate.waiting, "refused": self._gate.refused, "ready": 0}
        for pool in self._pools.values():
            total["ready"] += pool.ready
            for name, value in asdict(pool.gauges).items():
                total[name] = total.get(name, 0) + value
        return total

    async def _prove(self, pool: Pool[Container]) -> None:
        """Attack one container in every way that the limits must withstand, unless that has been done since boot."""
        proof = await self._proof()
        run = _Run(pool, self._settings.limits, reuse=1_000_000)
        try:
            await run.container()  # proven or not: a start that cannot make one container is no start
            if not (proof and proof.holds()):
                await prove(run.once, self._settings.limits, probes(gvisor=self._settings.runtime == GVISOR))
                if proof:
                    proof.keep()
        finally:
            run.end()

    async def _proof(self) -> Proof | None:
        if self._settings.proofs is None:
            return None
        image = image_tag(self._warm_shape.language)
        info = await self._engine.info()
        engine = [
            info.get(name) for name in ("ID", "ServerVersion", "KernelVersion", "DefaultRuntime", "CgroupVersion")
        ]
        spec = host_config(self._warm_shape, self._settings.runtime, self._settings.cgroup_parent)
        return Proof(self._settings.proofs, await self._engine.image_id(image), engine, spec, guest_sources())

    async def _pool(self, shape: Shape) -> Pool[Container]:
        """The pool for `shape`; only the settings' own shape is kept warm."""
        async with self._opening:  # an image that is missing is built once, however many ask for it
            if shape not in self._pools:
                await self._make_room()
                maker = await self._maker(shape)
                warm = self._settings.warm if shape == self._warm_shape else 0
                self._pools[shape] = Pool(partial(self._make, maker, shape), warm)
        return self._pools[shape]

    async def _make_room(self) -> None:
        """Close an idle pool of limits that were asked for once, so that their number stays small."""
        idle = [shape for shape, pool in self._pools.items() if pool.idle and shape != self._warm_shape]
        if idle and len(self._pools) >= MAX_SHAPES:
            await self._pools.pop(idle[0]).aclose()

    async def _maker(self, shape: Shape) -> Maker:
        image = await self._engine.call(lambda client: ensure_image(client, shape.language, log.info))
        return Maker(
            engine=self._engine,
            image=image,
            runtime=self._settings.runtime,
            cgroup_parent=self._settings.cgroup_parent,
        )

    async def _make(self, maker: Maker, shape: Shape) -> Container:
        async with self._creators:
            container = await maker.make(shape)
        loop = asyncio.get_running_loop()

        def replace() -> None:
            if shape in self._pools:
                loop.call_soon(self._pools[shape].refill)

        container.link.on_lost = replace
        return container

    async def aclose(self) -> None:
        """Destroy every container and close the connection to the engine."""
        for pool in self._pools.values():
            await pool.aclose()
        if self._reaper is not None:
            await asyncio.to_thread(self._reaper.dismiss)
        await asyncio.to_thread(self._engine.close)

    async def __aenter__(self) -> DockerSandbox:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()


class _NoAnswer(Exception):
    """Two containers were lost on one step."""


class _Run:
    """The containers that one run uses: one, and a second where the first is lost."""

    def __init__(self, pool: Pool[Container], limits: Limits, reuse: int) -> None:
        self._pool = pool
        self._limits = limits
        self._reuse = reuse
        self._container: Container | None = None
        self.spoiled = False
        """The program attacked the protocol: its container serves nobody else."""

    async def execute(self, step: Step) -> Raw:
        """Run one step; where the container is lost, once more on a fresh one."""
        lost: list[LinkLost] = []
        while len(lost) < 2:
            try:
                return await self.once(step, self._limits)
            except LinkLost as error:
                lost.append(error)
        if all(error.silent for error in lost):
            return Raw(exit=Exit.TIMEOUT, wall_s=self._limits.wall_s)  # it keeps supervisors from answering
        raise _NoAnswer("; ".join(str(error) for error in lost))

    async def once(self, step: Step, limits: Limits) -> Raw:
        """Run one step on the container of this run; LinkLost where that is of no use afterwards."""
        container = await self.container()
        try:
            raw = await container.run(step, limits)
            if raw.exit is not Exit.NOT_STARTED:
                return raw
            raise LinkLost(f"a process could not be started: {raw.stderr[-500:]!r}")
        except LinkLost as error:
            log.warning("container %s was lost: %s", container.name[:12], error)
            container.hang_up()
            raise

    async def container(self) -> Container:
        """The container of this run, or a fresh one where that is not usable any more."""
        if self._container is not None and not self._container.usable:
            self.end()
        if self._container is None:
            self._container = await self._pool.take()
            self._container.uses += 1
        return self._container

    def end(self) -> None:
        """Give the container back. Returns at once, so it is safe while a cancellation is under way."""
        if self._container is not None:
            self._pool.give_back(self._container, reuse=self._container.uses < self._reuse and not self.spoiled)
            self._container = None
