"""The real client over real sockets, against a server that stalls, breaks off, trickles and lies."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import SecretStr

from atlas.doctor import ask_server
from atlas.errors import ConfigError, ModelReplyError, ModelUnavailable
from atlas.llm import endpoint
from atlas.llm.client import OpenAIClient
from atlas.llm.endpoint import Timeouts
from atlas.llm.retry import RetryPolicy
from atlas.protocols import Sampling
from atlas.settings import LLMSettings
from atlas.types import Message
from tests.support.fake_openai import FakeOpenAI, Fault

pytestmark = pytest.mark.anyio

ASK = [Message(role="user", content="Write a haiku.")]
ONE = Sampling(n=1, temperature=0.8, seed=1, max_tokens=20)
QUICK = Timeouts(connect=2.0, read=0.4, total=1.0, deadline=5.0)
EAGER = RetryPolicy(attempts=3, base_s=0.01)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


async def connect(server: FakeOpenAI, timeouts: Timeouts = QUICK, **options: object) -> OpenAIClient:
    client = await OpenAIClient.open(server.base_url, server.api_key, timeouts=timeouts, retry=EAGER, **options)  # type: ignore[arg-type]
    server.requests.clear()
    return client


async def settled(server: FakeOpenAI, aborts: int) -> None:
    """Wait until the server has noticed so many clients going away."""
    with anyio.fail_after(5):
        while len(server.aborts) < aborts:
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("fault", "kind", "complaint"),
    [
        (Fault(kind="stall"), ModelUnavailable, r"sent nothing for 0\.4 s"),
        (Fault(kind="trickle"), ModelUnavailable, "did not finish an answer within 1 s"),
        (Fault(kind="hang_up"), ModelUnavailable, "closed the connection without an answer"),
        (Fault(kind="abort"), ModelReplyError, "cut off"),
        (Fault(kind="truncate"), ModelReplyError, r"not \(whole\) JSON"),
        (Fault(kind="html"), ModelReplyError, "an HTML page.*Welcome to the router"),
        (Fault(kind="empty"), ModelReplyError, "choices"),
        (Fault(kind="replace", body=b'{"result": "ok"}'), ModelReplyError, "another schema"),
        (Fault(kind="status", status=400), ModelReplyError, "400: 'injected'"),
        (Fault(kind="status", status=429, headers=(("retry-after", "99"),)), ModelUnavailable, "come back in 99 s"),
    ],
)
async def test_a_fault_is_told_once_in_plain_words_and_the_next_call_works(
    server: FakeOpenAI, fault: Fault, kind: type[Exception], complaint: str
) -> None:
    async with await connect(server) as client:
        server.faults = deque([fault])
        with pytest.raises(kind, match=complaint) as caught:
            await client.sample(ASK, ONE)
        assert str(caught.value).isprintable() and server.base_url in str(caught.value)
        assert len(server.posts()) == 1
        made, _ = await client.sample(ASK, ONE)
        assert len(made) == 1


async def test_a_passing_fault_is_not_seen_by_the_caller(server: FakeOpenAI) -> None:
    async with await connect(server) as client:
        soon = (("retry-after", "0"),)
        server.faults = deque([Fault(kind="status", status=429, headers=soon), Fault(kind="status", status=503)])
        made, _ = await client.sample(ASK, ONE)
        assert len(made) == 1 and len(server.posts()) == 3


async def test_no_retry_is_begun_that_would_cross_the_deadline(server: FakeOpenAI) -> None:
    hurried = Timeouts(connect=2.0, read=2.0, total=2.0, deadline=3.0)
    async with await connect(server, hurried) as client:
        server.faults = deque([Fault(kind="status", status=503, headers=(("retry-after", "4"),))])
        begun = time.monotonic()
        with pytest.raises(ModelUnavailable, match="come back in 4 s"):
            await client.sample(ASK, ONE)
        assert time.monotonic() - begun < 1.0


async def test_cancelling_a_task_closes_its_connection(server: FakeOpenAI) -> None:
    server.seconds_per_token = 0.0
    async with await connect(server, Timeouts()) as client:
        server.seconds_per_token = 10.0
        with anyio.move_on_after(0.2) as scope:
            await client.sample(ASK, Sampling(n=3, temperature=0.8, seed=1, max_tokens=20))
        assert scope.cancelled_caught
        await settled(server, 1)
        assert server.aborts[0].path == "/v1/chat/completions" and server.aborts[0].body["n"] == 3
        server.seconds_per_token = 0.0
        made, _ = await client.sample(ASK, ONE)
        assert len(made) == 1


async def test_cancelling_closes_every_connection_of_a_fan_out() -> None:
    async with FakeOpenAI(n="ignore") as server, await connect(server, Timeouts()) as client:
        server.seconds_per_token = 10.0
        with anyio.move_on_after(0.3):
            await client.sample(ASK, Sampling(n=3, temperature=0.8, seed=1, max_tokens=20))
        await settled(server, 3)
        assert sorted(abort.body["seed"] for abort in server.aborts) == [1, 2, 3]


async def test_a_call_that_times_out_closes_its_connection_too(server: FakeOpenAI) -> None:
    async with await connect(server) as client:
        server.faults = deque([Fault(kind="stall")])
        with pytest.raises(ModelUnavailable):
            await client.sample(ASK, ONE)
        await settled(server, 1)


async def test_a_failed_embedding_calls_off_its_siblings(server: FakeOpenAI) -> None:
    async with await connect(server, Timeouts()) as client:
        server.faults = deque([Fault(kind="stall"), Fault(kind="status", status=400), Fault(kind="stall")])
        begun = time.monotonic()
        with pytest.raises(ModelReplyError, match="injected"):
            await client.embed(["a", "b", "c"])
        await settled(server, 2)
        assert time.monotonic() - begun < 5.0


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(ModelUnavailable, match=rf"No model server answers at {url}/v1 .*ATLAS_LLM__BASE_URL"):
        await OpenAIClient.open(url, timeouts=QUICK, retry=EAGER)


async def test_a_server_that_takes_requests_and_says_nothing_is_given_up_before_it_is_asked_to_think(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def listen(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await anyio.sleep_forever()

    monkeypatch.setattr(endpoint, "LISTING_SECONDS", 0.3)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, listen)
        with anyio.fail_after(10), pytest.raises(ModelUnavailable, match=r"within 0\.3 s\. It is overloaded or stuck"):
            await OpenAIClient.open(f"http://127.0.0.1:{port}", timeouts=Timeouts(), retry=EAGER)
        tasks.cancel_scope.cancel()
    await listener.aclose()


async def test_the_doctor_asks_a_server_for_its_models_and_for_nothing_else(server: FakeOpenAI) -> None:
    assert server.api_key is not None
    right = LLMSettings(api_key=SecretStr(server.api_key))
    assert await ask_server(right, server.base_url) == "fake-model"
    assert [request.path for request in server.requests] == ["/v1/models"]
    with pytest.raises(ConfigError, match="ATLAS_LLM__API_KEY"):
        await ask_server(LLMSettings(), server.base_url)
    with pytest.raises(ConfigError, match="no model 'other'"):
        await ask_server(right.model_copy(update={"model": "other"}), server.base_url)


async def test_a_server_that_speaks_no_http() -> None:
    async def babble(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"SSH-2.0-OpenSSH_9.2\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, babble)
        with pytest.raises(ModelUnavailable, match="without an answer"):
            await OpenAIClient.open(f"http://127.0.0.1:{port}", timeouts=QUICK, retry=EAGER)
        tasks.cancel_scope.cancel()
    await listener.aclose()


async def test_usage_lies_do_not_reach_the_budget() -> None:
    for habit in ("one", "huge", "all"):
        async with FakeOpenAI(usage=habit) as server, await connect(server) as client:
            made, usage = await client.sample(ASK, Sampling(n=4, temperature=0.8, seed=1, max_tokens=20))
            assert usage.completion_tokens == sum(len(c.logprobs or ()) for c in made) == 80


def test_the_fake_serves_synchronous_tests_from_a_thread() -> None:
    with FakeOpenAI().in_thread() as server:

        async def ask() -> int:
            async with await connect(server) as client:
                return len((await client.sample(ASK, ONE))[0])

        assert anyio.run(ask) == 1
