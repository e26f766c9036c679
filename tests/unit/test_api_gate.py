"""Who may ask what: keys, hosts, origins, and how large a body may grow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from api import gate
from api.errors import Unauthenticated
from api.gate import Keyring
from tests.support.clients import in_process, quick

pytestmark = pytest.mark.anyio

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"
KEYS = (SecretStr(FIRST), SecretStr(SECOND))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(quick(host="0.0.0.0", api_keys=KEYS)) as client:
        yield client


@pytest.fixture
async def local() -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(quick(allowed_hosts=("atlas.example",), max_body_bytes=1_000)) as client:
        yield client


def test_a_keyring_without_keys_lets_everybody_in() -> None:
    assert Keyring(()).holder(None) == Keyring(()).holder("Bearer whatever") == "local"


def test_each_key_has_its_own_name_which_is_not_the_key() -> None:
    names = {Keyring(KEYS).holder(f"Bearer {key}") for key in (FIRST, SECOND)}
    assert len(names) == 2 and not any(FIRST in name or SECOND in name for name in names)
    assert Keyring(KEYS).holder(f"bearer  {FIRST} ") in names


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Bearer {FIRST}x", f"Bearer {FIRST[:-1]}", FIRST, f"Basic {FIRST}", "Bearer é"],
)
def test_anything_else_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        Keyring(KEYS).holder(header)


async def test_tasks_need_a_key_and_probes_do_not(guarded: httpx.AsyncClient) -> None:
    for path in ("/v1/tasks", "/v1/none", "/v1"):
        refused = await guarded.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.headers["content-type"] == "application/problem+json"
    for path in ("/livez", "/readyz", "/version"):
        assert (await guarded.get(path)).status_code == 200
    assert (await guarded.get("/v1/tasks", headers={"Authorization": f"Bearer {SECOND}"})).status_code == 200


async def test_a_stranger_is_told_no_details(guarded: httpx.AsyncClient) -> None:
    holder = {"Authorization": f"Bearer {FIRST}"}
    assert "parts" not in (await guarded.get("/version")).json()
    assert (await guarded.get("/version", headers=holder)).json()["parts"] == {"model": "fake"}
    assert (await guarded.get("/readyz")).json()["parts"]["model"] == {"ok": True}
    assert (await guarded.get("/readyz", headers=holder)).json()["parts"]["model"]["detail"] == "answers"


async def test_a_request_without_a_key_is_refused_and_its_body_forgotten(
    guarded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "DRAIN_BYTES", 10_000)
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    answer = await guarded.post("/v1/tasks", content=body())
    assert (answer.status_code, answer.headers["connection"]) == (401, "close")
    assert sent < 11_000


async def test_one_key_never_replays_for_another(guarded: httpx.AsyncClient) -> None:
    ids = set()
    for key in (FIRST, SECOND):
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "same"}
        answer = await guarded.post("/v1/tasks", json={"prompt": "verify"}, headers=headers)
        assert "idempotent-replayed" not in answer.headers
        ids.add(answer.json()["id"])
    assert len(ids) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "LOCALHOST", "atlas.example:1"])
async def test_a_loopback_service_answers_for_loopback_names(local: httpx.AsyncClient, host: str) -> None:
    assert (await local.get("/livez", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[", "user@localhost", "localhost:x"]
)
async def test_a_rebound_name_is_refused(local: httpx.AsyncClient, host: str) -> None:
    answer = await local.get("/v1/tasks", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong-host")


async def test_beyond_loopback_any_name_will_do(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/livez", headers={"Host": "anything.example"})).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8000", 200), ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:9", 403)],
)
async def test_pages_of_other_origins_are_refused(local: httpx.AsyncClient, origin: str, status: int) -> None:
    assert (await local.get("/v1/tasks", headers={"Origin": origin})).status_code == status


async def test_a_body_that_says_it_is_too_large_is_refused(local: httpx.AsyncClient) -> None:
    answer = await local.post("/v1/tasks", json={"prompt": "x" * 2_000})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["code"] == "payload-too-large" and "1000 bytes" in answer.json()["detail"]


async def test_a_body_that_grows_too_large_is_refused(
    local: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "DRAIN_BYTES", 1_000)
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 100
            yield b"x" * 100

    answer = await local.post("/v1/tasks", content=body(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["code"] == "payload-too-large"
    assert sent < 3_000
