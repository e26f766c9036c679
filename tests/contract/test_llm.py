"""What every model server owes the client, held against the fake one and the embedded engine.

The fake server may stand in for a real one in other tests because it passes here, over real sockets.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import anyio
import numpy as np
import pytest

from atlas import models
from atlas.errors import ConfigError, ModelReplyError
from atlas.llm.client import OpenAIClient
from atlas.llm.retry import RetryPolicy
from atlas.protocols import LLM, ModelTooLong, Sampling
from atlas.types import Message
from tests.support.fake_openai import FakeOpenAI

pytestmark = pytest.mark.anyio

STORY = [Message(role="user", content="Tell me a long story about a lighthouse keeper.")]
LAST_RESORT = RetryPolicy(attempts=1)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a server listens, and how much it takes."""

    base_url: str
    api_key: str
    slots: int
    n_ctx: int


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(
    scope="module",
    params=["fake", pytest.param("embedded", marks=[pytest.mark.llm, pytest.mark.slow, pytest.mark.timeout(600)])],
)
async def server(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Server]:
    if request.param == "fake":
        async with FakeOpenAI(states=True, seconds_per_token=0.01, max_embed_tokens=2048) as fake:
            yield Server(base_url=fake.base_url, api_key=fake.api_key or "", slots=fake.slots, n_ctx=fake.n_ctx)
        return
    from atlas.llm.engine import EmbeddedEngine

    try:
        model = models.verified("qwen2.5-coder-0.5b")
    except ConfigError as missing:
        pytest.skip(str(missing))
    async with EmbeddedEngine.start(model.path, sha256=model.sha256, n_ctx=4096, slots=4) as engine:
        yield Server(base_url=engine.base_url, api_key=engine.api_key, slots=4, n_ctx=4096)


@pytest.fixture(scope="module")
async def client(server: Server) -> AsyncIterator[OpenAIClient]:
    async with await OpenAIClient.open(server.base_url, server.api_key, states=True) as client:
        yield client


def sampling(n: int, max_tokens: int = 24, seed: int = 3) -> Sampling:
    return Sampling(n=n, temperature=0.9, seed=seed, max_tokens=max_tokens)


async def test_it_is_found_to_do_everything(client: OpenAIClient) -> None:
    found = client.capabilities
    assert isinstance(client, LLM) and found.model
    assert (found.n, found.logprobs, found.embeddings, found.states, found.seeds) == (True,) * 5
    assert found.engine and found.model_sha256 is not None and len(found.model_sha256) == 64
    assert found.max_embed_tokens is not None and found.max_embed_tokens >= 1024


async def test_choices_differ_and_each_is_whole(client: OpenAIClient) -> None:
    made, usage = await client.sample(STORY, sampling(3))
    assert len(made) == 3 and len({c.text for c in made}) == 3
    assert [c.seed for c in made] == [3, 4, 5]
    for completion in made:
        assert completion.logprobs is not None and completion.states is not None
        assert completion.finish_reason in ("stop", "length") and 0 < len(completion.logprobs) <= 24
        assert b"".join(t.token for t in completion.logprobs).decode("utf-8", "replace") == completion.text
        assert all(t.logprob <= 0.0 and t.second is not None and t.second <= 0.0 for t in completion.logprobs)
        assert completion.states.shape[0] == len(completion.logprobs) and completion.states.dtype == np.float16
        assert np.isfinite(completion.states).all() and completion.states.any()
    counted = sum(len(c.logprobs or ()) for c in made)
    assert counted <= usage.completion_tokens <= counted + len(made) and usage.prompt_tokens > 5


async def test_the_first_choice_can_be_the_likeliest(client: OpenAIClient) -> None:
    """The same text for every seed, and the one that temperature 0 gives by itself; the others are drawn as ever."""
    drawn, _ = await client.sample(STORY, sampling(3))
    made, usage = await client.sample(STORY, replace(sampling(3), greedy_first=True))
    (alone,), _ = await client.sample(STORY, replace(sampling(1, seed=99), temperature=0.0))
    again, _ = await client.sample(STORY, replace(sampling(2, seed=50), greedy_first=True))
    assert made[0].text == again[0].text == alone.text != drawn[0].text
    assert [c.temperature for c in made] == [0.0, 0.9, 0.9] and [c.seed for c in made] == [3, 4, 5]
    assert len({c.text for c in made}) == 3
    assert usage.completion_tokens >= sum(len(c.logprobs or ()) for c in made)


async def test_an_answer_that_is_cut_off_says_so(client: OpenAIClient) -> None:
    (made,), usage = await client.sample(STORY, sampling(1, max_tokens=5))
    assert made.finish_reason == "length" and made.logprobs is not None
    assert len(made.logprobs) == usage.completion_tokens == 5


async def test_more_choices_than_slots(client: OpenAIClient, server: Server) -> None:
    n = server.slots + 1
    made, usage = await client.sample(STORY, sampling(n, max_tokens=6))
    assert [c.seed for c in made] == list(range(3, 3 + n))
    assert usage.completion_tokens >= sum(len(c.logprobs or ()) for c in made)


async def test_answers_to_tasks_side_by_side(client: OpenAIClient) -> None:
    texts: dict[int, list[str]] = {}

    async def ask(number: int) -> None:
        prompt = [Message(role="user", content=f"Write the number {number} in words.")]
        texts[number] = [c.text for c in (await client.sample(prompt, sampling(2, max_tokens=8)))[0]]

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(ask, number)
    assert sorted(texts) == [0, 1, 2] and all(len(t) == 2 for t in texts.values())


async def test_a_stop_string_ends_the_answer(client: OpenAIClient) -> None:
    (whole,), _ = await client.sample(STORY, sampling(1))
    stop = whole.text[10:13]
    again = Sampling(n=1, temperature=0.9, seed=3, max_tokens=24, stop=(stop,))
    (cut,), _ = await client.sample(STORY, again)
    assert stop not in cut.text


async def test_a_prompt_too_long_is_refused_and_the_server_goes_on(client: OpenAIClient, server: Server) -> None:
    with pytest.raises(ModelReplyError, match="400"):
        await client.sample([Message(role="user", content="lighthouse " * server.n_ctx * 2)], sampling(2))
    made, _ = await client.sample(STORY, sampling(1, max_tokens=2))
    assert len(made) == 1


async def test_vectors(client: OpenAIClient) -> None:
    texts = ["def add(a, b):\n    return a + b\n", "def add(a, b):\n    return a - b\n", "word " * 20_000, "x"]
    plus, minus, long, short = await client.embed(texts)
    assert isinstance(long, ModelTooLong) and long.message
    assert isinstance(plus, np.ndarray) and isinstance(minus, np.ndarray) and isinstance(short, np.ndarray)
    assert plus.dtype == np.float32 and plus.ndim == 1 and plus.shape == minus.shape == short.shape
    assert not np.array_equal(plus, minus)
    assert float(plus @ minus) > float(plus @ short)  # near programs, near vectors
    (again,) = await client.embed(texts[:1])
    assert isinstance(again, np.ndarray) and np.allclose(plus, again, atol=1e-3)


async def test_reading_a_given_answer(client: OpenAIClient) -> None:
    text = "def add(a, b):\n    return a + b\n"
    prompt = [Message(role="user", content="Write a function that adds.")]
    reading = await client.read(prompt, text)
    assert not isinstance(reading, ModelTooLong) and reading.text == text
    assert reading.logprobs is not None and reading.states is not None
    assert reading.states.shape[0] == len(reading.logprobs) > 3
    assert b"".join(t.token for t in reading.logprobs).decode() == text
    assert isinstance(await client.read(prompt, "word " * 20_000), ModelTooLong)


async def test_cancelling_stops_the_work_on_the_server(client: OpenAIClient, server: Server) -> None:
    short = sampling(server.slots, max_tokens=2)
    begun = time.monotonic()
    await client.sample(STORY, short)
    usual = time.monotonic() - begun
    with anyio.move_on_after(0.5) as scope:
        await client.sample(STORY, sampling(server.slots, max_tokens=900))
    assert scope.cancelled_caught
    begun = time.monotonic()
    made, _ = await client.sample(STORY, short)
    # Behind hundreds of tokens of four abandoned choices it would have waited for much longer.
    assert len(made) == server.slots and time.monotonic() - begun < 2.0 + 8.0 * usual


@pytest.mark.parametrize("key", [None, "sk-someone-elses"])
async def test_a_wrong_key_opens_nothing(server: Server, key: str | None) -> None:
    with pytest.raises(ConfigError, match="ATLAS_LLM__API_KEY") as caught:
        await OpenAIClient.open(server.base_url, key, retry=LAST_RESORT)
    assert "sk-someone-elses" not in str(caught.value)


async def test_an_absent_model_is_named(server: Server) -> None:
    with pytest.raises(ConfigError, match="no model 'gpt-9'"):
        await OpenAIClient.open(server.base_url, server.api_key, model="gpt-9", retry=LAST_RESORT)
