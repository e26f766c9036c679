"""Telling those who wait on a task, within this process, that something was written about it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Bell:
    """Rings per task. A ring is only a hint to look again: waiters also look by themselves now and then.

    That is why another process's writes are seen too, a little later.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, task_id: str) -> None:
        """Wake all who listen to `task_id`."""
        for waiter in self._waiting.get(task_id, ()):
            waiter.set()

    def ring_all(self) -> None:
        """Wake everybody: the service is stopping."""
        for task_id in list(self._waiting):
            self.ring(task_id)

    @contextmanager
    def listen(self, task_id: str) -> Iterator[asyncio.Event]:
        """An event that each ring sets. Clear it before looking, wait on it after."""
        waiter = asyncio.Event()
        self._waiting[task_id].add(waiter)
        try:
            yield waiter
        finally:
            self._waiting[task_id].discard(waiter)
            if not self._waiting[task_id]:
                del self._waiting[task_id]


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event`, at most `seconds`; whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
    except TimeoutError:
        return False
    return True
