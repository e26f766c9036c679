"""The service behind the routes: its parts, opened and closed together, and what routes ask of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

from api.bell import Bell, within
from api.config import ApiConfig, check_config
from api.errors import NotFound
from api.ports import OpenSolver
from api.readiness import Readiness
from api.store import Record, Store
from api.store_sql import SqlStore
from api.worker import Worker
from atlas.types import Budget

VERSION = version("atlas-costfield")

log = logging.getLogger("atlas.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the routes need. `stopping` is set when the service begins to shut down, `hurry` when it must not wait."""

    config: ApiConfig
    store: Store
    worker: Worker
    bell: Bell
    readiness: Readiness
    info: Mapping[str, object]
    budget: Budget
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Begin to shut down: whoever waits on a task is answered now."""
        self.stopping.set()
        self.bell.ring_all()

    async def get(self, task_id: str) -> Record:
        """The task. Raises NotFound."""
        record = await self.store.get(task_id)
        if record is None:
            raise NotFound(f"There is no task {task_id[:64]!r}.")
        return record

    async def wait(self, task_id: str, seconds: float) -> Record:
        """The task once it is terminal, or as it is after `seconds`. Raises NotFound."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        with self.bell.listen(task_id) as rung:
            while True:
                rung.clear()
                seen = await self.store.peek(task_id)
                left = until - loop.time()
                if seen is None or seen.status.terminal or left <= 0 or self.stopping.is_set():
                    return await self.get(task_id)
                await within(rung, min(left, self.config.poll_s))


@asynccontextmanager
async def open_service(config: ApiConfig, open_solver: OpenSolver) -> AsyncIterator[Service]:
    """Open database, solver and worker; close them in the opposite order. Raises ConfigError."""
    check_config(config)
    store = await SqlStore.open(config.database_path)
    try:
        async with open_solver() as atlas:
            bell = Bell()
            worker = Worker(
                store=store, solver=atlas.solver, bell=bell, config=config,
                provenance={**atlas.info, "atlas_version": VERSION},
            )
            working = asyncio.create_task(worker.run(), name="worker")
            working.add_done_callback(_report)
            service = Service(
                config=config, store=store, worker=worker, bell=bell, info=atlas.info,
                budget=atlas.solver.budget,
                readiness=Readiness(
                    atlas.ready, store, lambda: not working.done(),
                    timeout_s=config.ready_timeout_s, ttl_s=config.ready_ttl_s,
                ),
            )
            try:
                yield service
            finally:
                service.stop()
                worker.halt()
                await working
                await worker.drain(config.shutdown_grace_s, service.hurry)
    finally:
        await store.aclose()


def _report(working: asyncio.Task[None]) -> None:
    """Say at once that the worker broke; the process goes on, and readiness tells."""
    if not working.cancelled() and (error := working.exception()) is not None:
        log.critical("the worker broke; restart the service", exc_info=error, extra={"action": "worker_broke"})
