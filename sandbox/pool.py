"""A warm pool: a few things that are slow to make, made before they are asked for; and the gate in front of it.

Knows nothing of Docker. Runs in one event loop, and nothing is awaited while state changes, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sandbox.errors import SandboxBusy, SandboxError

log = logging.getLogger(__name__)

HEAD_START_S = 0.05
"""How long who took one has the machine to itself before the next is made: most runs are over by then."""
RETRY_SECONDS = 1.0
"""After a failed creation nothing is made in advance for this long; whoever waits is told of the failure at once."""


class Poolable(Protocol):
    """What a pool holds."""

    @property
    def usable(self) -> bool:
        """False once it must not be handed out any more."""
        ...

    def hang_up(self) -> None:
        """Let go of it at once, without waiting."""
        ...

    async def remove(self) -> None:
        """Destroy it for certain."""
        ...


T = TypeVar("T", bound=Poolable)


class Gate:
    """Lets `width` callers in at a time; the next `queue` wait for at most `wait_s`, and the rest are told to go."""

    def __init__(self, width: int, queue: int, wait_s: float) -> None:
        self._free = asyncio.Semaphore(width)
        self._queue = queue
        self._wait_s = wait_s
        self.waiting = 0
        self.refused = 0

    @asynccontextmanager
    async def pass_through(self) -> AsyncIterator[None]:
        """Hold one of the places.

        Raises:
            SandboxBusy: the queue is full, or no place came free in time.
        """
        if self._free.locked() and self.waiting >= self._queue:
            self.refused += 1
            raise SandboxBusy(f"{self.waiting} runs already wait for a container. Retry later.")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            self.refused += 1
            raise SandboxBusy(f"No container came free within {self._wait_s:g} s. Retry later.") from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._free.release()


@dataclass
class Gauges:
    """Counts since the start."""

    made: int = 0
    failed: int = 0
    warm_hits: int = 0
    cold_waits: int = 0
    reused: int = 0
    discarded: int = 0
    make_s: float = 0.0
    """Seconds spent on making, all together."""


class Pool(Generic[T]):
    """Keeps `warm` things ready. What is taken is given back, to be used again or destroyed: the caller decides."""

    def __init__(self, make: Callable[[], Awaitable[T]], warm: int) -> None:
        self.warm = warm
        self.gauges = Gauges()
        self._make = make
        self._ready: deque[T] = deque()
        self._taken: set[T] = set()
        self._waiting: deque[asyncio.Future[T]] = deque()
        self._making = 0
        self._failed_at = -RETRY_SECONDS
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def ready(self) -> int:
        """How many could be taken now without waiting."""
        return sum(thing.usable for thing in self._ready)

    @property
    def idle(self) -> bool:
        """Nothing is taken, waited for or being made."""
        return not (self._taken or self._waiting or self._making)

    async def take(self) -> T:
        """One that is usable. Give it back, whatever happens.

        Raises:
            SandboxError: it could not be made.
        """
        while self._ready:
            thing = self._ready.popleft()
            if thing.usable:
                self.gauges.warm_hits += 1
                self._taken.add(thing)
                asyncio.get_running_loop().call_later(HEAD_START_S, self.refill)
                return thing
            self._destroy(thing)
        return await self._wait()

    async def _wait(self) -> T:
        if self._closed:
            raise SandboxBusy("The sandbox is closing.")
        self.gauges.cold_waits += 1
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._failed_at = -RETRY_SECONDS
        self.refill()
        try:
            return await place
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place.cancelled() and place.exception() is None:
                self.give_back(place.result(), reuse=True)  # it came in the moment we were cancelled
            raise

    async def filled(self) -> None:
        """Wait until as many are ready as are to be kept warm, and nothing is being made or removed.

        Raises:
            SandboxError: one could not be made.
        """
        while self.ready < self.warm or self._tasks:
            failed = self.gauges.failed
            self.refill()
            await asyncio.sleep(0.005)
            if self.gauges.failed > failed:
                self.give_back(await self.take(), reuse=True)  # raises what stands in the way

    def give_back(self, thing: T, *, reuse: bool) -> None:
        """End a lease. Returns at once: what is not used again is destroyed in the background."""
        self._taken.discard(thing)
        if reuse and thing.usable and not self._closed:
            self.gauges.reused += 1
            self._offer(thing)
        else:
            self._destroy(thing)
        self.refill()

    def _offer(self, thing: T) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                self._taken.add(thing)
                place.set_result(thing)
                return
        self._ready.appendleft(thing)

    def _destroy(self, thing: T) -> None:
        self.gauges.discarded += 1
        thing.hang_up()
        self._spawn(thing.remove())

    def refill(self) -> None:
        """Start making what is missing. Returns at once."""
        if self._closed or time.monotonic() < self._failed_at + RETRY_SECONDS:
            return
        for thing in [thing for thing in self._ready if not thing.usable]:
            self._ready.remove(thing)
            self._destroy(thing)
        for _ in range(self.warm + len(self._waiting) - len(self._ready) - self._making):
            self._making += 1
            self._spawn(self._make_one())

    async def _make_one(self) -> None:
        began = time.monotonic()
        try:
            thing = await self._make()
        except Exception as error:  # whatever it was, whoever waits must hear of it
            self._fail(error)
            if not isinstance(error, SandboxError):
                raise
            return
        finally:
            self._making -= 1
        self.gauges.made += 1
        self.gauges.make_s += time.monotonic() - began
        if self._closed:
            self._destroy(thing)
        else:
            self._offer(thing)

    def _fail(self, error: Exception) -> None:
        self.gauges.failed += 1
        self._failed_at = time.monotonic()
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("a sandbox could not be made or removed: %s", error)

    async def aclose(self) -> None:
        """Destroy everything, taken or not, and wait until it is gone."""
        self._closed = True
        for thing in (*self._ready, *self._taken):
            self._destroy(thing)
        self._ready.clear()
        self._fail(SandboxBusy("The sandbox is closing."))
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
