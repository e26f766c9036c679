"""The warm pool and its gate, with things that are made of nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sandbox.errors import SandboxBusy, SandboxUnavailable
from sandbox.pool import HEAD_START_S, Gate, Pool


class Thing:
    """Counts what is done to it."""

    def __init__(self) -> None:
        self.usable = True
        self.removed = 0

    def hang_up(self) -> None:
        self.usable = False

    async def remove(self) -> None:
        self.removed += 1


class Factory:
    """Makes things, slowly or not at all, and remembers them."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.delay = 0.0
        self.failure: Exception | None = None

    async def make(self) -> Thing:
        await asyncio.sleep(self.delay)
        if self.failure:
            raise self.failure
        self.things.append(Thing())
        return self.things[-1]


def run(test: Callable[[Factory], Awaitable[None]]) -> None:
    asyncio.run(_within(test))


async def _within(test: Callable[[Factory], Awaitable[None]]) -> None:
    async with asyncio.timeout(10):
        await test(Factory())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_it_keeps_the_warm_number_ready() -> None:
    async def test(factory: Factory) -> None:
        pool = Pool(factory.make, warm=2)
        pool.refill()
        await settle()
        assert pool.ready == 2
        first = await pool.take()
        await settle()
        assert pool.ready == 1  # who took it has a head start
        await asyncio.sleep(2 * HEAD_START_S)
        assert pool.ready == 2 and len(factory.things) == 3 and pool.gauges.warm_hits == 1
        pool.give_back(first, reuse=False)
        await settle()
        assert first.removed == 1 and pool.ready == 2 and len(factory.things) == 3
        await pool.aclose()
        assert all(thing.removed for thing in factory.things)

    run(test)


def test_an_empty_pool_makes_one_on_demand_and_reuse_brings_it_back() -> None:
    async def test(factory: Factory) -> None:
        pool = Pool(factory.make, warm=0)
        thing = await pool.take()
        pool.give_back(thing, reuse=True)
        assert await pool.take() is thing and len(factory.things) == 1
        pool.give_back(thing, reuse=True)
        thing.usable = False
        assert await pool.take() is not thing and thing.removed == 1
        await pool.aclose()

    run(test)


def test_dead_ones_are_replaced_and_never_handed_out() -> None:
    async def test(factory: Factory) -> None:
        pool = Pool(factory.make, warm=2)
        pool.refill()
        await settle()
        factory.things[0].usable = factory.things[1].usable = False
        pool.refill()
        await settle()
        assert pool.ready == 2 and len(factory.things) == 4
        assert (await pool.take()).usable
        await pool.aclose()

    run(test)


def test_a_failure_reaches_who_waits_and_the_next_taker_tries_again() -> None:
    async def test(factory: Factory) -> None:
        pool = Pool(factory.make, warm=2)
        factory.failure = SandboxUnavailable("no engine")
        with pytest.raises(SandboxUnavailable, match="no engine"):
            await pool.take()
        pool.refill()
        await settle()
        assert pool.gauges.failed <= 3  # nothing is made in advance right after a failure
        factory.failure = None
        assert (await pool.take()).usable
        await pool.aclose()

    run(test)


def test_a_taker_that_is_cancelled_leaves_nothing_behind() -> None:
    async def test(factory: Factory) -> None:
        pool = Pool(factory.make, warm=0)
        factory.delay = 0.02
        waiting = asyncio.create_task(pool.take())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0.03)
        assert len(factory.things) == 1 and await pool.take() is factory.things[0]
        await pool.aclose()
        assert factory.things[0].removed == 1

    run(test)


def test_closing_ends_the_wait_of_others() -> None:
    async def test(factory: Factory) -> None:
        pool = Pool(factory.make, warm=0)
        factory.delay = 0.05
        waiting = asyncio.create_task(pool.take())
        await settle()
        await pool.aclose()
        with pytest.raises(SandboxBusy):
            await waiting
        with pytest.raises(SandboxBusy):
            await pool.take()
        assert [thing.removed for thing in factory.things] == [1]

    run(test)


def test_the_gate_lets_in_so_many_queues_so_many_and_refuses_the_rest() -> None:
    async def test(_factory: Factory) -> None:
        gate = Gate(width=1, queue=1, wait_s=5)
        release = asyncio.Event()

        async def hold() -> None:
            async with gate.pass_through():
                await release.wait()

        inside, queued = asyncio.create_task(hold()), asyncio.create_task(hold())
        await settle()
        assert gate.waiting == 1
        with pytest.raises(SandboxBusy, match="wait for a container"):
            await hold()
        release.set()
        await asyncio.gather(inside, queued)
        await hold()

    run(test)


def test_the_gate_s_wait_has_an_end() -> None:
    async def test(_factory: Factory) -> None:
        gate = Gate(width=1, queue=5, wait_s=0.02)
        async with gate.pass_through():
            with pytest.raises(SandboxBusy, match=r"within 0\.02 s"):
                async with gate.pass_through():
                    pass
        async with gate.pass_through():
            assert gate.refused == 1 and gate.waiting == 0

    run(test)
