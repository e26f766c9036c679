"""One server over HTTP: what is tried again, what is told, and what never leaves: the key."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import httpx
import pytest

from atlas.errors import ModelReplyError, ModelUnavailable
from atlas.llm.client import OpenAIClient
from atlas.llm.endpoint import Refused
from tests.support.model_wire import ASK, EAGER, KEY, URL, Answer, Wire, sampling, status

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    "failure",
    [
        status(408),
        status(409),
        status(429),
        status(500),
        status(503),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout(""),
    ],
)
async def test_passing_failures_are_tried_again(failure: Answer) -> None:
    wire = Wire()
    client = await wire.open(failure, failure)
    made, _ = await client.sample(ASK, sampling(1))
    assert len(made) == 1 and len(wire.requests) == 3


@pytest.mark.parametrize(
    ("failure", "kind", "complaint"),
    [
        (status(429), ModelUnavailable, "429: 'busy'"),
        (status(503), ModelUnavailable, "503"),
        (httpx.ConnectError("refused"), ModelUnavailable, "No model server answers at http://model.test/v1.*Start it"),
        (httpx.ConnectTimeout(""), ModelUnavailable, "did not connect in time"),
    ],
)
async def test_retries_are_bounded(failure: Answer, kind: type[Exception], complaint: str) -> None:
    wire = Wire()
    client = await wire.open(*[failure] * 5)
    with pytest.raises(kind, match=complaint):
        await client.sample(ASK, sampling(1))
    assert len(wire.requests) == EAGER.attempts


@pytest.mark.parametrize(
    ("failure", "kind", "complaint"),
    [
        (status(400), Refused, "refused the request with 400"),
        (status(401), Refused, "401"),
        (status(501), Refused, "501"),
        (status(500, "input is too large to process"), Refused, "too large"),
        (status(503, x_should_retry="false"), Refused, "503"),
        (status(429, Retry_After="3600"), ModelUnavailable, "come back in 3600 s"),
        (httpx.ReadTimeout(""), ModelUnavailable, "sent nothing for 600 s"),
        (httpx.RemoteProtocolError("Server disconnected"), ModelUnavailable, "without an answer"),
        (httpx.Response(200, text="<html>"), ModelReplyError, "HTML"),
        (httpx.Response(204), ModelReplyError, "empty body"),
        (
            httpx.Response(200, stream=httpx.ByteStream(b"no gzip"), headers={"content-encoding": "gzip"}),
            ModelReplyError,
            "damaged",
        ),
    ],
)
async def test_lasting_failures_are_not_tried_again(failure: Answer, kind: type[Exception], complaint: str) -> None:
    wire = Wire()
    client = await wire.open(failure, failure)
    with pytest.raises(kind, match=complaint):
        await client.sample(ASK, sampling(1))
    assert len(wire.requests) == 1


async def test_the_wait_that_a_server_asks_for_is_told() -> None:
    client = await Wire().open(status(503, Retry_After="120"))
    with pytest.raises(ModelUnavailable) as caught:
        await client.sample(ASK, sampling(1))
    assert caught.value.retry_after_s == 120.0


async def test_retry_after_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    client = await Wire().open(status(429, Retry_After="7"), status(503))
    monkeypatch.setattr(anyio, "sleep", sleep)
    await client.sample(ASK, sampling(1))
    assert slept == [7.0, 0.0]


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_redirects_are_not_followed_with_the_key(code: int) -> None:
    wire = Wire()
    client = await wire.open(httpx.Response(code, headers={"location": "https://evil.test/v1"}))
    with pytest.raises(Refused, match=r"redirects .*evil\.test.*ATLAS_LLM__BASE_URL"):
        await client.sample(ASK, sampling(1))
    assert {r.url.host for r in wire.requests} == {"model.test"}


@pytest.mark.parametrize("answer", [
    lambda: status(400, f"Incorrect API key provided: {KEY}"),
    lambda: status(503, f"upstream refused {KEY}"),
    lambda: httpx.Response(200, text=f"<html>{KEY}"),
    lambda: httpx.Response(302, headers={"location": f"http://x/?key={KEY}"}),
])  # fmt: skip
async def test_the_key_is_never_shown(answer: Callable[[], httpx.Response], caplog: pytest.LogCaptureFixture) -> None:
    client = await Wire().open(answer(), answer(), answer())
    with caplog.at_level(logging.DEBUG), pytest.raises((ModelReplyError, ModelUnavailable)) as caught:
        await client.sample(ASK, sampling(1))
    assert "[key]" in str(caught.value)
    for text in (repr(caught.value), str(caught.value), repr(client), repr(vars(client)), caplog.text):
        assert KEY not in text


async def test_no_more_requests_at_once_than_allowed() -> None:
    running, most = 0, 0
    model = Wire(n="ignore")

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.005)
        running -= 1
        return model.handle(request)

    client = await OpenAIClient.open(URL, KEY, transport=httpx.MockTransport(handle), concurrency=3)
    made, _ = await client.sample(ASK, sampling(8))
    assert len(made) == 8 and most == 3


async def test_a_body_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    client = await Wire().open(httpx.Response(200, text="x" * 1001))
    monkeypatch.setattr("atlas.llm.endpoint._MAX_BODY", 1000)
    with pytest.raises(ModelReplyError, match="sent more than"):
        await client.sample(ASK, sampling(1))


async def test_text_travels_unchanged_even_where_it_is_no_unicode() -> None:
    wire = Wire()
    client = await wire.open(httpx.Response(200, json={"data": [{"embedding": [1.0]}]}))
    odd = "é \u0000 \ud800 \U0001f600"
    await client.embed([odd])
    assert wire.bodies[0]["input"] == odd
