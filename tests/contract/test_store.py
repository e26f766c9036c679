"""What every store promises. Run over SQLite in a file and in memory; another engine joins by one more opener."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from api.ids import new_id
from api.store import (
    Ending,
    IdempotencyConflict,
    IdempotencyKey,
    Lease,
    LeaseLost,
    ListQuery,
    NewEvent,
    NewTask,
    QueueFull,
    Record,
    Store,
    TaskStatus,
)
from api.store_sql import SqlStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """Unix seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(tmp_path / "atlas.db" if request.param == "file" else None)
    opened._clock = clock
    yield opened
    await opened.aclose()


def new_task(**changes: object) -> NewTask:
    values: dict[str, object] = {
        "id": new_id("task"), "prompt_start": "add", "language": "python", "labels": {"team": "red"}, "request": "{}",
    }
    return NewTask(**{**values, **changes})  # type: ignore[arg-type]


async def add(store: Store, **changes: object) -> str:
    record, replayed = await store.add(new_task(**changes), max_queued=100)
    assert not replayed
    return record.id


async def claim(store: Store, owner: str = "me", lease_s: float = 10) -> tuple[Record, Lease]:
    found = await store.claim(owner, lease_s)
    assert found is not None
    return found


def key(body: str = "a", scope: str = "s") -> IdempotencyKey:
    return IdempotencyKey(scope=scope, key="k", body_hash=body)


DONE = Ending(status=TaskStatus.COMPLETED, outcome="verified", result='{"program": null}')


def test_it_fits_the_protocol() -> None:
    assert issubclass(SqlStore, Store)


async def test_a_task_is_kept_as_it_was_given(store: Store, clock: Clock) -> None:
    request = '{"prompt": "ünïcode \\u0000 🎈"}'
    task_id = await add(store, request=request, prompt_start="ü🎈")
    record = await store.get(task_id)
    assert record is not None
    assert (record.status, record.outcome, record.runs) == (TaskStatus.QUEUED, None, 0)
    assert (record.request, record.prompt_start, record.labels) == (request, "ü🎈", {"team": "red"})
    assert (record.created_at, record.started_at, record.finished_at) == (clock.now, None, None)
    assert await store.get("task_nobody") is None


async def test_a_full_queue_refuses(store: Store) -> None:
    for _ in range(2):
        await store.add(new_task(), max_queued=2)
    with pytest.raises(QueueFull):
        await store.add(new_task(), max_queued=2)
    await claim(store)  # one fewer waits
    await store.add(new_task(), max_queued=2)


async def test_the_oldest_task_is_claimed_first_and_once(store: Store) -> None:
    first, second = await add(store), await add(store)
    assert [(await claim(store))[0].id, (await claim(store))[0].id] == [first, second]
    assert await store.claim("me", 10) is None


async def test_many_claimers_never_share_a_task(store: Store) -> None:
    ids = {await add(store) for _ in range(12)}

    async def drain(owner: str) -> list[str]:
        mine = []
        while (found := await store.claim(owner, 10)) is not None:
            mine.append(found[0].id)
        return mine

    claimed = await asyncio.gather(*(drain(f"owner{i}") for i in range(4)))
    assert sorted(itertools.chain(*claimed)) == sorted(ids)


async def test_a_claim_says_when_it_started_and_how_often(store: Store, clock: Clock) -> None:
    await add(store)
    clock.now += 5
    record, lease = await claim(store, lease_s=10)
    assert (record.status, record.started_at, record.runs, lease.run) == (TaskStatus.IN_PROGRESS, clock.now, 1, 1)
    clock.now += 11
    again, second = await claim(store, "other")
    assert (again.started_at, again.runs, second.run) == (record.started_at, 2, 2)


async def test_a_lease_holds_until_it_runs_out(store: Store, clock: Clock) -> None:
    await add(store)
    _, lease = await claim(store, lease_s=10)
    clock.now += 9
    assert await store.claim("other", 10) is None
    assert await store.renew(lease, 10) is False
    clock.now += 9
    assert await store.claim("other", 10) is None
    clock.now += 2
    assert await store.claim("other", 10, exclude=[lease.task_id]) is None
    assert (await claim(store, "other"))[0].id == lease.task_id


async def test_whoever_lost_the_lease_writes_nothing(store: Store, clock: Clock) -> None:
    task_id = await add(store)
    _, old = await claim(store, "me", lease_s=10)
    clock.now += 11
    _, new = await claim(store, "me", lease_s=10)  # the same owner, a later run
    before = await store.events(task_id)
    writes: list[Callable[[], object]] = [
        lambda: store.renew(old, 10),
        lambda: store.append(old, [NewEvent(name="late")]),
        lambda: store.finish(old, DONE, [NewEvent(name="late")]),
        lambda: store.release(old, [NewEvent(name="late")]),
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            await write()  # type: ignore[misc]
    assert await store.events(task_id) == before
    await store.finish(new, DONE, [])


async def test_an_ending_is_written_once_and_never_changes(store: Store, clock: Clock) -> None:
    task_id = await add(store)
    _, lease = await claim(store)
    clock.now += 3
    await store.finish(lease, DONE, [NewEvent(name="last.words")])
    ended = await store.get(task_id)
    assert ended is not None
    assert (ended.status, ended.outcome, ended.result) == (TaskStatus.COMPLETED, "verified", DONE.result)
    assert ended.finished_at == clock.now
    with pytest.raises(LeaseLost):
        await store.finish(lease, Ending(status=TaskStatus.FAILED, outcome="interrupted"), [])
    await store.request_cancel(task_id)
    clock.now += 1_000
    assert await store.claim("other", 10) is None
    assert await store.get(task_id) == ended
    assert [event.name for event in await store.events(task_id)] == [
        "task.queued", "task.started", "last.words", "task.completed",
    ]


async def test_events_are_numbered_without_gaps_and_read_from_anywhere(store: Store) -> None:
    task_id = await add(store)
    _, lease = await claim(store)
    for batch in range(3):
        await store.append(lease, [NewEvent(name=f"e{batch}.{i}", data=f'{{"i": {i}}}') for i in range(4)])
    await store.append(lease, [])
    seen = await store.events(task_id)
    assert [event.seq for event in seen] == list(range(1, 15))
    assert seen[-1].data == '{"i": 3}'
    assert list(await store.events(task_id, after=5, limit=2)) == list(seen[5:7])
    assert list(await store.events(task_id, after=14)) == []
    record = await store.get(task_id)
    assert record is not None and record.last_seq == 14


async def test_an_event_keeps_the_time_it_came_with(store: Store, clock: Clock) -> None:
    task_id = await add(store)
    _, lease = await claim(store)
    await store.append(lease, [NewEvent(name="a", at=17.5), NewEvent(name="b")])
    assert [event.at for event in await store.events(task_id, after=2)] == [17.5, clock.now]


async def test_a_queued_task_is_cancelled_at_once(store: Store, clock: Clock) -> None:
    task_id = await add(store)
    for _ in range(2):
        record = await store.request_cancel(task_id)
        assert record is not None
        assert (record.status, record.outcome, record.finished_at) == (TaskStatus.CANCELLED, "cancelled", clock.now)
    assert await store.claim("me", 10) is None
    assert [event.name for event in await store.events(task_id)] == ["task.queued", "task.cancelled"]
    assert await store.request_cancel("task_nobody") is None


async def test_a_running_task_learns_of_a_cancel_when_it_renews(store: Store) -> None:
    task_id = await add(store)
    _, lease = await claim(store)
    record = await store.request_cancel(task_id)
    assert record is not None and record.status is TaskStatus.IN_PROGRESS and record.cancel_requested
    assert await store.renew(lease, 10) is True


async def test_a_released_task_is_queued_again_and_its_run_is_not_counted(store: Store) -> None:
    task_id = await add(store)
    _, lease = await claim(store)
    await store.release(lease, [])
    record = await store.get(task_id)
    assert record is not None and (record.status, record.runs) == (TaskStatus.QUEUED, 0)
    again, _ = await claim(store, "other")
    assert (again.id, again.runs) == (task_id, 1)


async def test_a_release_after_a_cancel_ends_the_task(store: Store) -> None:
    task_id = await add(store)
    _, lease = await claim(store)
    await store.request_cancel(task_id)
    await store.release(lease, [])
    record = await store.get(task_id)
    assert record is not None and (record.status, record.outcome) == (TaskStatus.CANCELLED, "cancelled")
    assert (await store.events(task_id))[-1].name == "task.cancelled"


async def test_a_known_key_gives_the_first_task_back(store: Store, clock: Clock) -> None:
    first, replayed = await store.add(new_task(), max_queued=1, key=key())
    assert not replayed
    again, replayed = await store.add(new_task(), max_queued=1, key=key())  # a full queue does not matter to a replay
    assert replayed and again == first
    with pytest.raises(IdempotencyConflict):
        await store.add(new_task(), max_queued=9, key=key("another body"))
    other, replayed = await store.add(new_task(), max_queued=9, key=key(scope="another key holder"))
    assert not replayed and other.id != first.id
    clock.now += 24 * 3600 + 1
    late, replayed = await store.add(new_task(), max_queued=9, key=key("another body"))
    assert not replayed and late.id != first.id


async def test_one_key_at_the_same_time_is_one_task(store: Store) -> None:
    made = await asyncio.gather(*(store.add(new_task(), max_queued=99, key=key()) for _ in range(8)))
    assert len({record.id for record, _ in made}) == 1
    assert [replayed for _, replayed in made].count(False) == 1


async def test_a_refused_task_leaves_no_key(store: Store) -> None:
    with pytest.raises(QueueFull):
        await store.add(new_task(), max_queued=0, key=key())
    _, replayed = await store.add(new_task(), max_queued=9, key=key())
    assert not replayed


async def test_pages_in_both_orders_cover_everything_once(store: Store) -> None:
    ids = [await add(store) for _ in range(7)]
    for newest_first, expected in ((True, ids[::-1]), (False, ids)):
        seen: list[str] = []
        has_more, after = True, None
        while has_more:
            page, has_more = await store.page(ListQuery(limit=3, after=after, newest_first=newest_first))
            seen += [summary.id for summary in page]
            after = seen[-1]
        assert seen == expected


async def test_a_page_is_filtered(store: Store) -> None:
    queued, cancelled = await add(store), await add(store)
    await store.request_cancel(cancelled)

    async def ids(**wanted: object) -> list[str]:
        page, _ = await store.page(ListQuery(limit=9, **wanted))  # type: ignore[arg-type]
        return [summary.id for summary in page]

    assert await ids(status=TaskStatus.QUEUED) == [queued]
    assert await ids(outcome="cancelled") == [cancelled]
    assert await ids(outcome="verified") == []


async def test_ping_writes_again_and_again(store: Store) -> None:
    await store.ping()
    await store.ping()


async def test_a_cancelled_caller_costs_nothing(store: Store) -> None:
    """The connection survives a caller that is cancelled in the middle, and what it began is whole or not at all."""
    await add(store)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0005):
                while True:
                    await store.claim("me", -1)
    record, _ = await claim(store, lease_s=10)
    assert record.runs == [event.name for event in await store.events(record.id)].count("task.started")
