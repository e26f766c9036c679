"""Whether the service can do its work: really tried, cached for a while, and bounded in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from api.store import Store, StoreError

Parts = Mapping[str, tuple[bool, str]]

log = logging.getLogger("atlas.api")


class Readiness:
    """Asks every part at most once per `ttl_s`, however many ask us. `probe` is `Atlas.ready`."""

    def __init__(
        self, probe: Callable[[], Awaitable[Parts]], store: Store, worker_alive: Callable[[], bool], *,
        timeout_s: float, ttl_s: float,
    ) -> None:
        self._probe = probe
        self._store = store
        self._worker_alive = worker_alive
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._lock = asyncio.Lock()
        self._parts: Parts = {}
        self._asked_at = -float("inf")

    async def parts(self) -> Parts:
        """Part name -> (works, what was seen)."""
        async with self._lock:
            if time.monotonic() - self._asked_at > self._ttl_s:
                self._parts = {**await self._ask(), "database": await self._ask_store()}
                self._asked_at = time.monotonic()
        alive = self._worker_alive()
        return {**self._parts, "worker": (alive, "claims tasks" if alive else "has stopped; restart the service")}

    async def _ask(self) -> Parts:
        try:
            return await asyncio.wait_for(self._probe(), self._timeout_s)
        except TimeoutError:
            return {"solver": (False, f"no answer within {self._timeout_s:g} s")}
        except Exception as exc:
            # A probe that breaks is a part that does not work: the answer must still be given.
            log.exception("the readiness probe broke", extra={"action": "probe_broke"})
            return {"solver": (False, f"{type(exc).__name__}: {exc}")}

    async def _ask_store(self) -> tuple[bool, str]:
        try:
            await self._store.ping()
        except StoreError as exc:
            return False, str(exc)
        return True, "reads and writes"
