"""The store on SQLAlchemy Core. SQLite is tuned here; every statement is plain enough for PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.database import open_engine, transaction, whole
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
    StoredEvent,
    Summary,
    TaskStatus,
)
from api.tables import events as event_table
from api.tables import idempotency, pings, tasks

KEY_LIFETIME_S = 24 * 3600.0

S = TypeVar("S", bound=Summary)

_RECORD = [tasks.c[f.name] for f in fields(Record)]
_SUMMARY = [tasks.c[f.name] for f in fields(Summary)]


class SqlStore:
    """Tasks in a database that `api.database` opened. `clock` gives Unix seconds."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    @classmethod
    async def open(cls, path: Path | None) -> SqlStore:
        """Open the SQLite database at `path`; None keeps all in memory. Raises ConfigError where it cannot be used."""
        return cls(await open_engine(path))

    @whole
    async def add(self, task: NewTask, *, max_queued: int, key: IdempotencyKey | None = None) -> tuple[Record, bool]:
        try:
            return await self._add(task, max_queued, key)
        except IntegrityError:
            # Another process kept the same key between our look and our insert: this time we see it.
            return await self._add(task, max_queued, key)

    async def _add(self, task: NewTask, max_queued: int, key: IdempotencyKey | None) -> tuple[Record, bool]:
        now = self._clock()
        async with transaction(self._engine, write=True) as conn:
            if key is not None:
                await conn.execute(delete(idempotency).where(idempotency.c.created_at < now - KEY_LIFETIME_S))
                known = await _known_key(conn, key)
                if known is not None:
                    return known, True
            waiting = select(func.count()).select_from(tasks).where(tasks.c.status == TaskStatus.QUEUED)
            if (await conn.execute(waiting)).scalar_one() >= max_queued:
                raise QueueFull(f"{max_queued} tasks are waiting already; try again later.")
            await conn.execute(
                insert(tasks).values(
                    id=task.id, status=TaskStatus.QUEUED, created_at=now, runs=0, cancel_requested=False, last_seq=0,
                    prompt_start=task.prompt_start, language=task.language, request=task.request,
                    labels=json.dumps(dict(task.labels)),
                )
            )
            if key is not None:
                await conn.execute(
                    insert(idempotency).values(
                        scope=key.scope, key=key.key, body_hash=key.body_hash, task_id=task.id, created_at=now
                    )
                )
            await self._append(conn, task.id, [NewEvent(name="task.queued")])
            record = await _get(conn, task.id)
            assert record is not None
            return record, False

    @whole
    async def get(self, task_id: str) -> Record | None:
        async with transaction(self._engine) as conn:
            return await _get(conn, task_id)

    @whole
    async def peek(self, task_id: str) -> Summary | None:
        async with transaction(self._engine) as conn:
            row = (await conn.execute(select(*_SUMMARY).where(tasks.c.id == task_id))).one_or_none()
        return None if row is None else _read(Summary, row)

    @whole
    async def page(self, query: ListQuery) -> tuple[Sequence[Summary], bool]:
        order = tasks.c.id.desc() if query.newest_first else tasks.c.id.asc()
        wanted = select(*_SUMMARY).order_by(order).limit(query.limit + 1)
        if query.after is not None:
            wanted = wanted.where(tasks.c.id < query.after if query.newest_first else tasks.c.id > query.after)
        if query.status is not None:
            wanted = wanted.where(tasks.c.status == query.status)
        if query.outcome is not None:
            wanted = wanted.where(tasks.c.outcome == query.outcome)
        async with transaction(self._engine) as conn:
            rows = (await conn.execute(wanted)).all()
        return [_read(Summary, row) for row in rows[: query.limit]], len(rows) > query.limit

    @whole
    async def request_cancel(self, task_id: str) -> Record | None:
        running = (tasks.c.id == task_id, tasks.c.status == TaskStatus.IN_PROGRESS)
        async with transaction(self._engine, write=True) as conn:
            await self._cancel_queued(conn, task_id)
            await conn.execute(update(tasks).where(*running).values(cancel_requested=True))
            return await _get(conn, task_id)

    async def _cancel_queued(self, conn: AsyncConnection, task_id: str) -> None:
        ended = {
            "status": TaskStatus.CANCELLED, "outcome": "cancelled", "cancel_requested": True,
            "finished_at": self._clock(),
        }
        queued = (tasks.c.id == task_id, tasks.c.status == TaskStatus.QUEUED)
        done = await conn.execute(update(tasks).where(*queued).values(ended).returning(tasks.c.id))
        if done.scalar_one_or_none() is not None:
            await self._append(conn, task_id, [NewEvent(name="task.cancelled")])

    @whole
    async def claim(self, owner: str, lease_s: float, exclude: Collection[str] = ()) -> tuple[Record, Lease] | None:
        now = self._clock()
        abandoned = and_(tasks.c.status == TaskStatus.IN_PROGRESS, tasks.c.lease_until < now)
        oldest = (
            select(tasks.c.id)
            .where(or_(tasks.c.status == TaskStatus.QUEUED, abandoned), tasks.c.id.not_in(list(exclude)))
            .order_by(tasks.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)  # SQLite leaves it out: there the whole transaction holds the lock
        )
        taken = (
            update(tasks)
            .where(tasks.c.id == oldest.scalar_subquery())
            .values(
                status=TaskStatus.IN_PROGRESS, lease_owner=owner, lease_until=now + lease_s, runs=tasks.c.runs + 1,
                started_at=func.coalesce(tasks.c.started_at, now),
            )
            .returning(tasks.c.id, tasks.c.runs)
        )
        async with transaction(self._engine, write=True) as conn:
            row = (await conn.execute(taken)).one_or_none()
            if row is None:
                return None
            await self._append(conn, row.id, [NewEvent(name="task.started", data=json.dumps({"run": row.runs}))])
            record = await _get(conn, row.id)
            assert record is not None
            return record, Lease(task_id=row.id, owner=owner, run=row.runs)

    @whole
    async def renew(self, lease: Lease, lease_s: float) -> bool:
        held = update(tasks).where(*_held(lease)).values(lease_until=self._clock() + lease_s)
        async with transaction(self._engine, write=True) as conn:
            row = (await conn.execute(held.returning(tasks.c.cancel_requested))).one_or_none()
            if row is None:
                raise LeaseLost(f"{lease.task_id} is no longer held by this worker.")
            return bool(row.cancel_requested)

    @whole
    async def append(self, lease: Lease, events: Sequence[NewEvent]) -> None:
        async with transaction(self._engine, write=True) as conn:
            await self._append(conn, lease.task_id, events, lease)

    @whole
    async def finish(self, lease: Lease, ending: Ending, events: Sequence[NewEvent]) -> None:
        async with transaction(self._engine, write=True) as conn:
            last = NewEvent(name=f"task.{ending.status}")
            await self._append(conn, lease.task_id, [*events, last], lease)
            values = {f.name: getattr(ending, f.name) for f in fields(ending)}
            values |= {"finished_at": self._clock(), "lease_owner": None, "lease_until": None}
            await conn.execute(update(tasks).where(*_held(lease)).values(values))

    @whole
    async def release(self, lease: Lease, events: Sequence[NewEvent]) -> None:
        async with transaction(self._engine, write=True) as conn:
            await self._append(conn, lease.task_id, [*events, NewEvent(name="task.requeued")], lease)
            row = await conn.execute(
                update(tasks)
                .where(*_held(lease))
                .values(status=TaskStatus.QUEUED, lease_owner=None, lease_until=None, runs=tasks.c.runs - 1)
                .returning(tasks.c.cancel_requested)
            )
            if row.scalar_one():
                await self._cancel_queued(conn, lease.task_id)

    @whole
    async def events(self, task_id: str, *, after: int = 0, limit: int = 200) -> Sequence[StoredEvent]:
        wanted = (
            select(event_table.c.seq, event_table.c.name, event_table.c.at, event_table.c.data)
            .where(event_table.c.task_id == task_id, event_table.c.seq > after)
            .order_by(event_table.c.seq)
            .limit(limit)
        )
        async with transaction(self._engine) as conn:
            return [StoredEvent(**row._mapping) for row in await conn.execute(wanted)]

    @whole
    async def ping(self) -> None:
        async with transaction(self._engine, write=True) as conn:
            await conn.execute(delete(pings))
            await conn.execute(insert(pings).values(id=1, at=self._clock()))

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _append(
        self, conn: AsyncConnection, task_id: str, new: Sequence[NewEvent], lease: Lease | None = None
    ) -> None:
        """Number the events and keep them; with a lease, only while it is held."""
        where = _held(lease) if lease is not None else (tasks.c.id == task_id,)
        bumped = update(tasks).where(*where).values(last_seq=tasks.c.last_seq + len(new)).returning(tasks.c.last_seq)
        last = (await conn.execute(bumped)).scalar_one_or_none()
        if last is None:
            raise LeaseLost(f"{task_id} is no longer held by this worker.")
        now = self._clock()
        rows = [
            {"task_id": task_id, "seq": last - len(new) + i, "name": event.name, "at": event.at or now,
             "data": event.data}
            for i, event in enumerate(new, start=1)
        ]
        if rows:
            await conn.execute(insert(event_table), rows)


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    """The condition under which `lease` still holds."""
    return (
        tasks.c.id == lease.task_id,
        tasks.c.status == TaskStatus.IN_PROGRESS,
        tasks.c.lease_owner == lease.owner,
        tasks.c.runs == lease.run,
    )


async def _get(conn: AsyncConnection, task_id: str) -> Record | None:
    row = (await conn.execute(select(*_RECORD).where(tasks.c.id == task_id))).one_or_none()
    return None if row is None else _read(Record, row)


async def _known_key(conn: AsyncConnection, key: IdempotencyKey) -> Record | None:
    mine = (idempotency.c.scope == key.scope, idempotency.c.key == key.key)
    row = (await conn.execute(select(idempotency.c.body_hash, idempotency.c.task_id).where(*mine))).one_or_none()
    if row is None:
        return None
    if row.body_hash != key.body_hash:
        raise IdempotencyConflict("This Idempotency-Key was used with another body within the last 24 hours.")
    return await _get(conn, row.task_id)


def _read(cls: type[S], row: Row[Any]) -> S:
    values = dict(row._mapping)
    values["status"] = TaskStatus(values["status"])
    values["labels"] = json.loads(values["labels"])
    return cls(**values)
