"""The host's end of a container's stream, over a socket pair that plays the engine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

import pytest

from sandbox.link import Link, LinkLost


def mux(data: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def report(number: int, blob: bytes = b"") -> bytes:
    header = json.dumps({"seq": number, "sizes": [len(blob)]}).encode()
    return len(header).to_bytes(4, "big") + header + blob


def run(test: Callable[[Link, socket.socket], Awaitable[None]]) -> None:
    async def within() -> None:
        ours, engine = socket.socketpair()
        ours.setblocking(False)
        link = await Link.open(ours, max_body=1000)
        try:
            async with asyncio.timeout(10):
                await test(link, engine)
        finally:
            link.close()
            engine.close()
            await asyncio.sleep(0)

    asyncio.run(within())


def test_reports_come_in_the_order_of_the_requests() -> None:
    async def test(link: Link, engine: socket.socket) -> None:
        link.send(b"one")
        link.send(b"two")
        assert link.outstanding == 2
        wire = mux(report(1, b"x") + report(2))
        engine.send(wire[:9])
        await asyncio.sleep(0.01)
        engine.send(wire[9:])
        assert (await link.report(5))[0]["seq"] == 1
        assert (await link.report(5))[0]["seq"] == 2
        assert link.outstanding == 0 and engine.recv(100) == b"onetwo"

    run(test)


def test_silence_is_told_from_an_end() -> None:
    async def silence(link: Link, engine: socket.socket) -> None:
        link.send(b"one")
        with pytest.raises(LinkLost) as raised:
            await link.report(0.02)
        assert raised.value.silent and link.lost
        with pytest.raises(LinkLost):
            link.send(b"two")

    async def end(link: Link, engine: socket.socket) -> None:
        link.send(b"one")
        engine.send(mux(b"Traceback: it broke", stream=2))
        engine.close()
        with pytest.raises(LinkLost, match="it broke") as raised:
            await link.report(5)
        assert not raised.value.silent

    run(silence)
    run(end)


@pytest.mark.parametrize("wire", [b"not multiplexed at all", mux(report(1) + report(2)), mux(b"\xff\xff\xff\xff")])
def test_a_broken_protocol_ends_it_and_says_so(wire: bytes) -> None:
    async def test(link: Link, engine: socket.socket) -> None:
        told = []
        link.on_lost = lambda: told.append(link.lost)
        link.send(b"one")
        engine.send(wire)
        await asyncio.sleep(0.02)
        assert link.lost.startswith("broken protocol") and told == [link.lost]
        engine.recv(10)
        assert engine.recv(10) == b""  # hung up

    run(test)


def test_an_answer_that_came_before_the_end_counts() -> None:
    async def test(link: Link, engine: socket.socket) -> None:
        link.send(b"one")
        engine.send(mux(report(1)))
        engine.close()
        await asyncio.sleep(0.02)
        assert link.lost
        assert (await link.report(1))[0]["seq"] == 1

    run(test)
