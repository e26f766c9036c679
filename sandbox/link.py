"""The host's end of one container: sends requests, takes reports, knows when the container is gone."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from sandbox.errors import SandboxError
from sandbox.frames import BrokenFrame, Demultiplexer, take_report


class LinkLost(SandboxError):
    """The container ended, broke the protocol or kept silent. It is of no use any more."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Link(asyncio.Protocol):
    """One container's stream. Reports come back in the order of the requests."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._demultiplexer = Demultiplexer()
        self._reports: deque[tuple[dict[str, Any], list[bytes]]] = deque()
        self._expected = 0
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self.lost: str = ""
        self.on_lost: Callable[[], None] = lambda: None

    @classmethod
    async def open(cls, sock: socket.socket, max_body: int) -> Link:
        """Take over a connected, non-blocking socket."""
        _transport, link = await asyncio.get_running_loop().create_connection(lambda: cls(max_body), sock=sock)
        return link

    @property
    def outstanding(self) -> int:
        """Requests whose reports have not been taken yet."""
        return self._expected + len(self._reports)

    @property
    def diagnostics(self) -> str:
        """What the supervisor said on its standard error; empty where all is well."""
        return self._demultiplexer.stderr.decode("utf-8", "replace").strip()

    def send(self, frame: bytes) -> None:
        """Send one request; exactly one report will answer it."""
        if self.lost or self._transport is None:
            raise LinkLost(self.lost)
        self._expected += 1
        self._transport.write(frame)

    async def report(self, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        """The next report, or LinkLost where none comes in time."""
        if not self._reports:
            if self.lost:
                raise LinkLost(self.lost)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._waiter
            except TimeoutError:
                self.close("the container kept silent")
                raise LinkLost(self.lost, silent=True) from None
            finally:
                self._waiter = None
        if not self._reports:
            raise LinkLost(self.lost)
        return self._reports.popleft()

    def close(self, reason: str = "closed") -> None:
        """Hang up: standard input ends, and with it the container. Returns at once; safe to call twice."""
        self._lose(reason)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio calls this."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Asyncio calls this."""
        try:
            self._demultiplexer.feed(data)
            while report := take_report(self._demultiplexer.stdout, self._max_body):
                self._expected -= 1
                if self._expected < 0:
                    raise BrokenFrame("a report that nobody asked for")
                self._reports.append(report)
        except BrokenFrame as error:
            self.close(f"broken protocol: {error}")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio calls this."""
        self._lose(f"the container ended{f': {self.diagnostics}' if self.diagnostics else ''}")

    def _lose(self, reason: str) -> None:
        if not self.lost:
            self.lost = reason
            self.on_lost()
        self._wake()

    def _wake(self) -> None:
        if (self._reports or self.lost) and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
