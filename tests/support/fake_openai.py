"""A local server that speaks OpenAI's API over real sockets, and can misbehave in every way a client must survive.

It passes the same contract suite as the embedded engine (tests/contract/test_llm.py), so what a test learns from it is
true of a real one. By default it behaves like llama.cpp's server; its log-probabilities, states and embeddings are made
from hashes: stable, plausible, meaningless.

    async with FakeOpenAI() as server:
        client = await OpenAIClient.open(server.base_url, server.api_key)

From synchronous code: `with FakeOpenAI().in_thread() as server: ...`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import h11

from tests.support.fake_model import FakeModel


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request instead of an answer.

    stall: nothing is ever sent. hang_up: the connection closes without an answer. abort: it closes amid the body.
    truncate: a complete HTTP answer whose JSON is cut off. html: a web page with status 200. status: this status,
    headers and body. trickle: the right answer, a byte each 50 ms. empty: no choices. replace: `body` with status 200.
    """

    kind: Literal["stall", "hang_up", "abort", "truncate", "html", "status", "trickle", "empty", "replace"]
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b'{"error":{"message":"injected"}}'


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(kw_only=True)
class FakeOpenAI(FakeModel):
    """The server. Its habits are `FakeModel`'s; `faults` are used up one by one by chats and embeddings, in order.

    `requests` and `aborts` record what came in, and what the client broke off before it was answered.
    """

    faults: deque[Fault] = field(default_factory=deque)
    requests: list[Recorded] = field(default_factory=list)
    aborts: list[Recorded] = field(default_factory=list)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def posts(self, path: str = "/v1/chat/completions") -> list[Any]:
        """Bodies of the requests to `path` so far."""
        return [r.body for r in self.requests if r.path == path and r.method == "POST"]

    async def __aenter__(self) -> FakeOpenAI:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @contextlib.contextmanager
    def in_thread(self) -> Iterator[FakeOpenAI]:
        """Serve from a thread with its own event loop, for synchronous tests and for other processes."""
        ready, loop = threading.Event(), asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with self:
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        if not ready.wait(10):
            raise RuntimeError("the fake model server did not start")
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the client went away, or the test is over: nobody is left to tell
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            request = await self._read(connection, reader)
            if request is None:
                return
            self.requests.append(request)
            work = asyncio.ensure_future(self._respond(request, connection, writer))
            gone = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.aborts.append(request)
            for future in (work, gone):
                future.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await future
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _read(self, connection: h11.Connection, reader: asyncio.StreamReader) -> Recorded | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                headers = {k.decode(): v.decode() for k, v in head.headers}
                parsed = json.loads(body) if body else None
                return Recorded(method=head.method.decode(), path=head.target.decode(), headers=headers, body=parsed)
            else:
                return None

    async def _respond(self, request: Recorded, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
        fault = self.faults.popleft() if self.faults and request.method == "POST" else None
        if fault is not None and fault.kind == "stall":
            await asyncio.Event().wait()
        if fault is not None and fault.kind == "hang_up":
            writer.transport.abort()
            return
        status, payload, seconds = self.route(request.path, request.headers.get("authorization"), request.body)
        await asyncio.sleep(seconds)
        body = json.dumps(payload).encode()
        kind, headers = "application/json", list(fault.headers) if fault else []
        if fault is not None:
            status, kind, body = _spoil(fault, status, kind, body)
        headers += [("content-type", kind), ("content-length", str(len(body)))]
        writer.write(connection.send(h11.Response(status_code=status, headers=headers)) or b"")
        if fault is not None and fault.kind == "abort":
            writer.write(body[: len(body) // 2])
            await writer.drain()
            writer.close()
            return
        for piece in _pieces(body, 1 if fault is not None and fault.kind == "trickle" else len(body)):
            writer.write(connection.send(h11.Data(data=piece)) or b"")
            await writer.drain()
            if len(piece) < len(body):
                await asyncio.sleep(0.05)
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()


def _spoil(fault: Fault, status: int, kind: str, body: bytes) -> tuple[int, str, bytes]:
    if fault.kind == "truncate":
        return status, kind, body[: len(body) * 2 // 3]
    if fault.kind == "html":
        return 200, "text/html", b"<!doctype html><html><body>\x1b[31mWelcome to the router\x07</body></html>"
    if fault.kind == "empty":
        return 200, kind, b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0}}'
    if fault.kind == "replace":
        return 200, kind, fault.body
    if fault.kind == "status":
        return fault.status, kind, fault.body
    return status, kind, body


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), max(size, 1)):
        yield body[start : start + max(size, 1)]
