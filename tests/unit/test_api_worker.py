"""The worker and its jobs against a real store: leases, crashes, cancels, a full disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api import job as job_module
from api.bell import Bell
from api.ids import new_id
from api.schemas import TaskSpec
from api.store import Ending, Lease, NewEvent, NewTask, Record, StoreFull, TaskStatus
from api.store_sql import SqlStore
from api.worker import Worker
from atlas.types import AssertCheck, Budget
from tests.support.clients import quick
from tests.support.fakes import FakeSolver

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store() -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(None)
    yield opened
    await opened.aclose()


@pytest.fixture
def solver() -> FakeSolver:
    return FakeSolver()


@asynccontextmanager
async def working(store: SqlStore, solver: FakeSolver, **changes: Any) -> AsyncIterator[Worker]:
    config = quick(**changes)
    worker = Worker(store=store, solver=solver, bell=Bell(), config=config, provenance={})
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.halt()
        await running
        await worker.drain(config.shutdown_grace_s, asyncio.Event())


async def add(store: SqlStore, prompt: str, hidden: tuple[AssertCheck, ...] = ()) -> str:
    spec = TaskSpec(prompt=prompt, checks=(), hidden_checks=hidden, budget=Budget())
    task = NewTask(
        id=new_id("task"), prompt_start=prompt, language="python", labels={}, request=spec.model_dump_json()
    )
    record, _ = await store.add(task, max_queued=99)
    return record.id


async def get(store: SqlStore, task_id: str) -> Record:
    record = await store.get(task_id)
    assert record is not None
    return record


async def ended(store: SqlStore, task_id: str) -> Record:
    async with asyncio.timeout(20):
        while not (record := await get(store, task_id)).status.terminal:
            await asyncio.sleep(0.02)
    return record


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def names(store: SqlStore, task_id: str) -> list[str]:
    return [event.name for event in await store.events(task_id)]


async def crash(store: SqlStore, task_id: str) -> None:
    """Leave the task as a process does that was killed: in progress, its lease run out."""
    found = await store.claim("a dead process", -1)
    assert found is not None and found[0].id == task_id


async def test_events_are_kept_in_order_and_the_last_is_terminal(store: SqlStore, solver: FakeSolver) -> None:
    async with working(store, solver):
        task_id = await add(store, "verify")
        await ended(store, task_id)
    assert await names(store, task_id) == [
        "task.queued", "task.started", "attempt.started", "sandbox.finished", "task.completed",
    ]


async def test_events_are_written_while_the_solver_works(store: SqlStore, solver: FakeSolver) -> None:
    async with working(store, solver):
        task_id = await add(store, "sleep 30")
        async with asyncio.timeout(20):
            while "attempt.started" not in await names(store, task_id):
                await asyncio.sleep(0.02)
        assert (await get(store, task_id)).status is TaskStatus.IN_PROGRESS


async def test_a_crashed_task_is_run_again_twice_and_then_ends_interrupted(
    store: SqlStore, solver: FakeSolver
) -> None:
    task_id = await add(store, "verify")
    for _ in range(3):
        await crash(store, task_id)
    async with working(store, solver):
        record = await ended(store, task_id)
    assert (record.status, record.outcome, record.error_code) == (TaskStatus.FAILED, "interrupted", "interrupted")
    assert solver.begun == []
    other = await add(store, "verify")
    for _ in range(2):
        await crash(store, other)
    async with working(store, solver):
        record = await ended(store, other)
    assert (record.outcome, record.runs, solver.begun) == ("unchecked", 3, [other])


async def test_a_crashed_task_whose_cancel_was_asked_for_ends_cancelled(store: SqlStore, solver: FakeSolver) -> None:
    task_id = await add(store, "verify")
    await crash(store, task_id)
    await store.request_cancel(task_id)
    async with working(store, solver):
        assert (await ended(store, task_id)).status is TaskStatus.CANCELLED
    assert solver.begun == []


async def test_a_task_that_cannot_be_read_ends_and_the_worker_goes_on(
    store: SqlStore, solver: FakeSolver
) -> None:
    strange = NewTask(id=new_id("task"), prompt_start="", language="python", labels={}, request='{"new": "field"}')
    await store.add(strange, max_queued=9)
    async with working(store, solver):
        record = await ended(store, strange.id)
        assert (record.status, record.error_code) == (TaskStatus.FAILED, "task-unreadable")
        assert (await ended(store, await add(store, "verify"))).outcome == "unchecked"


async def test_what_the_sandbox_says_of_a_check_is_not_repeated_where_some_are_hidden(
    store: SqlStore, solver: FakeSolver
) -> None:
    hidden = (AssertCheck(code="assert f() == 'secret'"),)
    async with working(store, solver):
        quiet = await ended(store, await add(store, "invalid-check", hidden=hidden))
        loud = await ended(store, await add(store, "invalid-check"))
    assert (quiet.status, quiet.outcome, quiet.error_code) == (TaskStatus.FAILED, None, "invalid-check")
    assert quiet.error_detail == "A check cannot be read."
    assert loud.error_detail == "check 1: cannot be read"


async def test_the_lease_is_kept_while_the_solver_works(store: SqlStore, solver: FakeSolver) -> None:
    async with working(store, solver, lease_s=0.3):
        task_id = await add(store, "sleep 1.2")
        await until(lambda: solver.begun)
        async with asyncio.timeout(20):
            while not (await get(store, task_id)).status.terminal:
                assert await store.claim("a thief", 10) is None
                await asyncio.sleep(0.05)
    assert (await get(store, task_id)).runs == 1


async def test_a_cancel_that_another_process_took_is_learned_of(store: SqlStore, solver: FakeSolver) -> None:
    async with working(store, solver, lease_s=0.3):
        task_id = await add(store, "sleep 30")
        await until(lambda: solver.begun)
        await store.request_cancel(task_id)
        assert (await ended(store, task_id)).outcome == "cancelled"
    assert solver.cancelled == [task_id]


async def test_a_task_that_was_taken_over_is_left_alone(store: SqlStore, solver: FakeSolver) -> None:
    async with working(store, solver, lease_s=0.6):
        task_id = await add(store, "sleep 30")
        await until(lambda: solver.begun)
        held = store._clock
        store._clock = lambda: held() + 100  # our lease has run out, and somebody is quicker than our heart
        thief = await store.claim("a thief", 1_000)
        assert thief is not None
        await until(lambda: solver.cancelled)
        await asyncio.sleep(0.05)
        record = await get(store, task_id)
        assert (record.status, record.runs) == (TaskStatus.IN_PROGRESS, 2)
        await store.finish(thief[1], Ending(status=TaskStatus.COMPLETED, outcome="unsolved"), [])
        store._clock = held
    assert (await get(store, task_id)).outcome == "unsolved"


async def test_a_worker_never_takes_what_it_works_on(store: SqlStore, solver: FakeSolver) -> None:
    """A process that slept through its own lease must not start the same task a second time."""
    async with working(store, solver, workers=2, lease_s=1_000):
        await add(store, "sleep 0.6")
        await until(lambda: solver.begun)
        held = store._clock
        store._clock = lambda: held() + 10_000
        await asyncio.sleep(0.3)
        store._clock = held
    assert len(solver.begun) == 1


async def test_stopping_gives_a_task_back_unless_it_is_quick(store: SqlStore, solver: FakeSolver) -> None:
    async with working(store, solver, workers=2, shutdown_grace_s=0.5):
        quick_id, slow_id = await add(store, "sleep 0.2"), await add(store, "sleep 30")
        await until(lambda: len(solver.begun) == 2)
    assert (await get(store, quick_id)).outcome == "unchecked"
    record = await get(store, slow_id)
    assert (record.status, record.runs, solver.cancelled) == (TaskStatus.QUEUED, 0, [slow_id])


async def test_hurrying_cuts_the_grace_short(store: SqlStore, solver: FakeSolver) -> None:
    worker = Worker(store=store, solver=solver, bell=Bell(), config=quick(), provenance={})
    running = asyncio.create_task(worker.run())
    task_id = await add(store, "sleep 30")
    worker.wake()
    await until(lambda: solver.begun)
    worker.halt()
    await running
    hurry = asyncio.Event()
    hurry.set()
    async with asyncio.timeout(5):
        await worker.drain(1_000, hurry)
    assert (await get(store, task_id)).status is TaskStatus.QUEUED


class FullFor:
    """Makes a store refuse writes of one kind for a number of calls."""

    def __init__(self, store: SqlStore, method: str, times: int) -> None:
        self.left = times
        real = getattr(store, method)

        async def refuse(*args: Any, **kwargs: Any) -> Any:
            if self.left > 0:
                self.left -= 1
                raise StoreFull("the disk is full")
            return await real(*args, **kwargs)

        setattr(store, method, refuse)


@pytest.mark.parametrize("method", ["claim", "append", "renew", "finish"])
async def test_a_disk_that_is_full_for_a_while_loses_nothing(
    store: SqlStore, solver: FakeSolver, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    full = FullFor(store, method, 2)
    async with working(store, solver, lease_s=0.3):
        task_id = await add(store, "sleep 0.3")
        assert (await ended(store, task_id)).outcome == "unchecked"
    assert full.left < 2
    assert await names(store, task_id) == [
        "task.queued", "task.started", "attempt.started", "sandbox.finished", "task.completed",
    ]
    assert "disk is full" in caplog.text


async def test_an_ending_that_cannot_be_written_is_left_to_the_next_run(
    store: SqlStore, solver: FakeSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "FINISH_PATIENCE_S", 0.5)
    FullFor(store, "finish", 3)
    async with working(store, solver, lease_s=0.3):
        task_id = await add(store, "verify")
        record = await ended(store, task_id)
    assert (record.outcome, record.runs) == ("unchecked", 2)


class Slow(SqlStore):
    """A store whose events take their time."""

    async def append(self, lease: Lease, events: Sequence[NewEvent]) -> None:
        await asyncio.sleep(0.2)
        await super().append(lease, events)


async def test_a_slow_store_keeps_the_order_of_events(solver: FakeSolver) -> None:
    store = await Slow.open(None)
    async with working(store, solver):
        task_id = await add(store, "sleep 0.1")
        await ended(store, task_id)
    assert await names(store, task_id) == [
        "task.queued", "task.started", "attempt.started", "sandbox.finished", "task.completed",
    ]
    await store.aclose()
