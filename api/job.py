"""One run of one task: the solver at work, the lease kept alive, events written, one ending."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from api.bell import Bell, within
from api.config import ApiConfig
from api.endings import Stop, after_run, failed
from api.outbox import Outbox
from api.ports import Solver
from api.schemas import TaskSpec
from api.store import Ending, Lease, LeaseLost, Record, Store, StoreError
from atlas.types import Solution

FLUSH_S = 0.05
FINISH_PATIENCE_S = 60.0

log = logging.getLogger("atlas.api")


class Job:
    """Works on one claimed task. `run` never raises for what a task or its infrastructure does, and never hangs."""

    def __init__(
        self, record: Record, lease: Lease, *, store: Store, solver: Solver, bell: Bell, config: ApiConfig,
        provenance: Mapping[str, object],
    ) -> None:
        self._lease = lease
        self._store = store
        self._solver = solver
        self._bell = bell
        self._config = config
        self._spec = TaskSpec.model_validate_json(record.request)
        self._provenance = {**provenance, "seed": self._spec.seed}
        self._outbox = Outbox(self._spec.n_visible, has_hidden=bool(self._spec.hidden_checks))
        self._stop: Stop | None = None
        self._hasty = False
        self._stopped = asyncio.Event()
        self._reported = asyncio.Event()
        self._ended = asyncio.Event()

    def stop(self, why: Stop) -> None:
        """Cancel the solver. The first reason counts, but a shutdown always makes haste."""
        self._hasty = self._hasty or why is Stop.SHUTDOWN
        if self._stop is None:
            self._stop = why
            self._stopped.set()

    async def run(self) -> None:
        """Solve the task and write how it ended."""
        beating = asyncio.create_task(self._beat())
        flushing = asyncio.create_task(self._flush())
        try:
            solving = asyncio.create_task(self._solve(), name=f"solve {self._lease.task_id}")
            await self._wait_for(solving)
            self._reported.set()
            await flushing  # before the ending, so that events stay in order
            await self._write(self._ending(solving))
        finally:
            self._reported.set()
            self._ended.set()
            await beating
            self._bell.ring(self._lease.task_id)

    def _ending(self, solving: asyncio.Task[Solution]) -> Ending | None:
        """What to write; None gives the task back."""
        came: Solution | BaseException | None = None
        if solving.done() and not solving.cancelled():
            came = solving.exception() or solving.result()
        if isinstance(came, BaseException):
            log.error("a solver failed", exc_info=came, extra={"action": "solver_failed", **self._extra})
        try:
            return after_run(came, self._stop, self._spec, self._provenance)
        except Exception as exc:  # a solution that cannot be told must still end its task
            log.exception("a solution cannot be told", extra={"action": "solution_unfit", **self._extra})
            return failed(exc, self._spec)

    async def _solve(self) -> Solution:
        return await self._solver.solve(
            self._spec.task(self._lease.task_id),
            hidden=self._spec.hidden_checks,
            budget=self._spec.budget,
            seed=self._spec.seed,
            observe=self._outbox.put,
        )

    async def _wait_for(self, solving: asyncio.Task[Solution]) -> None:
        """Until the solver ends or is stopped; then until it has cleaned up, but not for ever."""
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            done, _ = await asyncio.wait(
                {solving, stopped},
                timeout=self._spec.budget.seconds + self._config.overtime_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            stopped.cancel()
        if not done:
            self.stop(Stop.OVERDUE)
        if not solving.done():
            solving.cancel()
            await asyncio.wait({solving}, timeout=self._config.unwind_s)
        if not solving.done():
            log.error("a cancelled solver does not stop", extra={"action": "solver_stuck", **self._extra})
            solving.add_done_callback(_retrieve)

    async def _write(self, ending: Ending | None) -> None:
        """Write the ending, patiently: a full disk may find room. Given up, the lease runs out and it is run again."""
        until, pause = time.monotonic() + FINISH_PATIENCE_S, 0.2
        while True:
            events = self._outbox.take()
            try:
                if ending is not None:
                    await self._store.finish(self._lease, ending, events)
                elif self._stop is Stop.SHUTDOWN:
                    await self._store.release(self._lease, events)
                return
            except LeaseLost:
                log.warning("a task was taken over", extra={"action": "lease_lost", **self._extra})
                return
            except StoreError as exc:
                self._outbox.give_back(events)
                log.error("an ending is not written: %s", exc, extra={"action": "write_failed", **self._extra})
            if self._hasty or time.monotonic() + pause > until:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)

    async def _beat(self) -> None:
        """Keep the lease, and learn of a cancel that another process took."""
        while not await within(self._ended, self._config.lease_s / 3):
            try:
                if await self._store.renew(self._lease, self._config.lease_s):
                    self.stop(Stop.CANCEL)
            except LeaseLost:
                self.stop(Stop.LEASE_LOST)
                return
            except StoreError as exc:
                log.warning("a lease was not renewed: %s", exc, extra={"action": "renew_failed", **self._extra})

    async def _flush(self) -> None:
        """Write events as they come, a few at a time."""
        while not self._reported.is_set():
            await _first(self._outbox.filled, self._reported)
            await within(self._reported, FLUSH_S)  # more may follow at once
            events = self._outbox.take()
            try:
                await self._store.append(self._lease, events)
            except LeaseLost:
                return
            except StoreError as exc:
                self._outbox.give_back(events)
                log.warning("events wait to be written: %s", exc, extra={"action": "append_failed", **self._extra})
                await within(self._reported, 1.0)
            self._bell.ring(self._lease.task_id)

    @property
    def _extra(self) -> dict[str, object]:
        return {"task_id": self._lease.task_id, "run": self._lease.run}


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of `events` is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()


def _retrieve(solving: asyncio.Task[Solution]) -> None:
    """Take an abandoned solver's exception, so that it is not reported as nobody's."""
    if not solving.cancelled():
        solving.exception()
