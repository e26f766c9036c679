"""Readiness: really asked, seldom, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from api.readiness import Readiness
from api.store import StoreFull
from api.store_sql import SqlStore
from tests.support.clients import in_process, quick
from tests.support.fakes import FakeAtlas

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store() -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(None)
    yield opened
    await opened.aclose()


def readiness(
    atlas: FakeAtlas, store: SqlStore, *, timeout_s: float = 5, ttl_s: float = 60, alive: bool = True
) -> Readiness:
    return Readiness(atlas.ready, store, lambda: alive, timeout_s=timeout_s, ttl_s=ttl_s)


async def test_every_part_is_named(store: SqlStore) -> None:
    parts = await readiness(FakeAtlas(), store).parts()
    assert {name: ok for name, (ok, _) in parts.items()} == {"model": True, "database": True, "worker": True}
    assert all(detail for _, detail in parts.values())


async def test_many_who_ask_are_one_probe(store: SqlStore) -> None:
    atlas = FakeAtlas(ready_takes_s=0.1)
    asked = readiness(atlas, store)
    await asyncio.gather(*(asked.parts() for _ in range(20)))
    assert atlas.probes == 1


async def test_an_old_answer_is_asked_again(store: SqlStore) -> None:
    atlas = FakeAtlas()
    asked = readiness(atlas, store, ttl_s=0)
    for _ in range(3):
        await asked.parts()
    assert atlas.probes == 3


async def test_a_probe_that_stalls_is_not_ready(store: SqlStore) -> None:
    parts = await readiness(FakeAtlas(ready_takes_s=30), store, timeout_s=0.05).parts()
    assert parts["solver"] == (False, "no answer within 0.05 s")


async def test_a_probe_that_breaks_is_not_ready(store: SqlStore) -> None:
    async def broken() -> Mapping[str, tuple[bool, str]]:
        raise OSError("no engine")

    asked = Readiness(broken, store, lambda: True, timeout_s=1, ttl_s=1)
    assert (await asked.parts())["solver"] == (False, "OSError: no engine")


async def test_a_store_that_cannot_write_is_not_ready(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full() -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(store, "ping", full)
    assert (await readiness(FakeAtlas(), store).parts())["database"] == (False, "the disk is full")


async def test_a_worker_that_stopped_is_seen_at_once(store: SqlStore) -> None:
    parts = await readiness(FakeAtlas(), store, alive=False).parts()
    assert parts["worker"][0] is False


async def test_the_route_says_which_part_is_not_ready_and_when_to_ask_again() -> None:
    atlas = FakeAtlas(parts={"model": (True, "answers"), "sandbox": (False, "no Docker engine answers")})
    async with in_process(quick(), atlas) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert answer.json()["parts"]["sandbox"] == {"ok": False, "detail": "no Docker engine answers"}
        assert answer.json()["parts"]["model"]["ok"] is True
        assert (await client.get("/livez")).status_code == 200
        assert atlas.probes == 1
