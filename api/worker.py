"""The worker: claims tasks, as many at a time as it may, and stops in good order."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping

from pydantic import ValidationError

from api.bell import Bell, within
from api.config import ApiConfig
from api.endings import UNREADABLE, Stop, unrun
from api.job import Job
from api.ports import Solver
from api.store import Ending, Lease, LeaseLost, Record, Store, StoreError

MAX_PAUSE_S = 30.0

log = logging.getLogger("atlas.api")


class Worker:
    """Runs queued tasks. `run` goes on until `stop`."""

    def __init__(
        self, *, store: Store, solver: Solver, bell: Bell, config: ApiConfig, provenance: Mapping[str, object]
    ) -> None:
        self._owner = secrets.token_hex(16)
        self._store = store
        self._solver = solver
        self._bell = bell
        self._config = config
        self._provenance = provenance
        self._running: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for a task now rather than at the next poll."""
        self._woken.set()

    def cancel(self, task_id: str) -> None:
        """Stop working on a task, if it is worked on here."""
        if task_id in self._running:
            self._running[task_id][0].stop(Stop.CANCEL)

    async def run(self) -> None:
        """Claim and run tasks until stopped. Outlives a store that fails for a while."""
        pause = self._config.poll_s
        while not self._stopping:
            self._woken.clear()
            try:
                claimed = len(self._running) < self._config.workers and await self._claim()
                pause = self._config.poll_s
            except StoreError as exc:
                claimed, pause = False, min(2 * pause, MAX_PAUSE_S)
                log.error("no task can be claimed: %s", exc, extra={"action": "claim_failed"})
            if not claimed:
                await within(self._woken, pause)

    def halt(self) -> None:
        """Claim no more: `run` returns soon."""
        self._stopping = True
        self.wake()

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Once `run` has returned: let tasks finish for `grace_s` or until `hurry`, then give them back."""
        working = {task for _, task in self._running.values()}
        if not working:
            return
        hurrying = asyncio.create_task(hurry.wait())
        finishing = asyncio.create_task(asyncio.wait(working))
        await asyncio.wait({hurrying, finishing}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        for job, _ in self._running.values():
            job.stop(Stop.SHUTDOWN)
        await finishing

    async def _claim(self) -> bool:
        """Claim one task and start it; whether there was one."""
        found = await self._store.claim(self._owner, self._config.lease_s, exclude=self._running.keys())
        if found is None:
            return False
        record, lease = found
        self._bell.ring(record.id)
        ending = unrun(record, self._config.max_runs)
        if ending is not None:
            await self._end(lease, ending)
            return True
        try:
            self._start(record, lease)
        except ValidationError:
            log.exception("a kept task cannot be read", extra={"action": "task_unreadable", "task_id": record.id})
            await self._end(lease, UNREADABLE)
        return True

    async def _end(self, lease: Lease, ending: Ending) -> None:
        try:
            await self._store.finish(lease, ending, [])
        except LeaseLost:
            log.warning("a task was taken over", extra={"action": "lease_lost", "task_id": lease.task_id})
        self._bell.ring(lease.task_id)

    def _start(self, record: Record, lease: Lease) -> None:
        job = Job(
            record, lease, store=self._store, solver=self._solver, bell=self._bell, config=self._config,
            provenance=self._provenance,
        )
        task = asyncio.create_task(job.run(), name=f"job {record.id}")
        self._running[record.id] = (job, task)
        task.add_done_callback(lambda done: self._done(record.id, done))

    def _done(self, task_id: str, task: asyncio.Task[None]) -> None:
        del self._running[task_id]
        self.wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job broke", exc_info=error, extra={"action": "job_broke", "task_id": task_id})
