"""Where tasks live: the records, the errors, and the protocol that every store fits.

A task's row is the job and the resource at once. Whoever works on a task holds a lease on it; a lease that ran out
makes the task claimable again, and what its former holder still writes is refused. A terminal row never changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable


class StoreError(Exception):
    """Base of what a store raises. The message is shown to the client."""


class StoreUnavailable(StoreError):
    """The database cannot be used now."""


class StoreFull(StoreUnavailable):
    """The database's disk is full. Nothing of the refused write was kept."""


class QueueFull(StoreError):
    """As many tasks wait as may."""


class IdempotencyConflict(StoreError):
    """An idempotency key was used again with another body."""


class LeaseLost(StoreError):
    """The task is no longer ours: it ended, or somebody else took it over."""


class TaskStatus(StrEnum):
    """Where a task is. The last three are terminal."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


TaskOutcome = Literal["verified", "unchecked", "unsolved", "timed_out", "interrupted", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to be kept. `request` is JSON and holds everything needed to run it; times are Unix seconds."""

    id: str
    prompt_start: str
    language: str
    labels: Mapping[str, str]
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A client's promise that requests with this key are one request. `body_hash` tells whether they are."""

    scope: str
    key: str
    body_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A task without its large parts."""

    id: str
    status: TaskStatus
    outcome: TaskOutcome | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    runs: int
    cancel_requested: bool
    prompt_start: str
    language: str
    labels: Mapping[str, str]
    error_code: str | None
    error_detail: str | None
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Summary):
    """A task with all that is known of it. `result` is JSON, and None until it ended with one."""

    request: str
    result: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a task. `run` counts how often it was begun and fences off earlier holders."""

    task_id: str
    owner: str
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a task ended. `result` is JSON."""

    status: TaskStatus
    outcome: TaskOutcome | None
    result: str | None = None
    error_code: str | None = None
    error_detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to be kept: `data` is JSON of an object; `at` is None for now."""

    name: str
    data: str = "{}"
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its place: `seq` counts from 1 within its task, without gaps."""

    seq: int
    name: str
    at: float
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Which tasks to list. `after` is the id of the last one seen."""

    limit: int
    after: str | None = None
    newest_first: bool = True
    status: TaskStatus | None = None
    outcome: TaskOutcome | None = None


@runtime_checkable
class Store(Protocol):
    """Keeps tasks and their events. Every method is one transaction, and raises StoreUnavailable or StoreFull."""

    async def add(
        self, task: NewTask, *, max_queued: int, key: IdempotencyKey | None = None
    ) -> tuple[Record, bool]:
        """Keep a queued task, its `task.queued` event, and the key, together. True: a known key's task.

        Raises QueueFull, IdempotencyConflict.
        """
        ...

    async def get(self, task_id: str) -> Record | None: ...

    async def peek(self, task_id: str) -> Summary | None:
        """The task without its large parts: cheap enough to ask for again and again."""
        ...

    async def page(self, query: ListQuery) -> tuple[Sequence[Summary], bool]:
        """One page in order of id, and whether there is more."""
        ...

    async def request_cancel(self, task_id: str) -> Record | None:
        """End a queued task as cancelled, mark a running one, leave a terminal one alone."""
        ...

    async def claim(self, owner: str, lease_s: float, exclude: Collection[str] = ()) -> tuple[Record, Lease] | None:
        """Take the oldest task that is queued or whose lease ran out, save those in `exclude`; None where none is."""
        ...

    async def renew(self, lease: Lease, lease_s: float) -> bool:
        """Hold the lease for `lease_s` from now. Returns whether a cancel was asked for. Raises LeaseLost."""
        ...

    async def append(self, lease: Lease, events: Sequence[NewEvent]) -> None:
        """Keep events of a running task. Raises LeaseLost, and then keeps none."""
        ...

    async def finish(self, lease: Lease, ending: Ending, events: Sequence[NewEvent]) -> None:
        """Write the terminal row, its last events, and `task.<status>` behind them, once. Raises LeaseLost."""
        ...

    async def release(self, lease: Lease, events: Sequence[NewEvent]) -> None:
        """Give a task back unfinished: queued again, and this run not counted. Raises LeaseLost."""
        ...

    async def events(self, task_id: str, *, after: int = 0, limit: int = 200) -> Sequence[StoredEvent]: ...

    async def ping(self) -> None:
        """Read and write once."""
        ...

    async def aclose(self) -> None: ...
