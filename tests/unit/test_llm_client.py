"""Sampling, embedding and reading: n honoured or not, bills that are honest, texts that are too long."""

from __future__ import annotations

import logging

import httpx
import numpy as np
import pytest

from atlas.errors import ConfigError, ModelReplyError
from atlas.llm.endpoint import Refused
from atlas.protocols import ModelTooLong
from atlas.types import Completion, Message
from tests.support.fake_model import STATE_WIDTH
from tests.support.model_wire import ASK, KEY, Wire, sampling, status

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_choices_are_asked_for_together() -> None:
    wire = Wire()
    client = await wire.open()
    made, usage = await client.sample(ASK, sampling(4))
    assert [(b["n"], b["seed"]) for b in wire.bodies] == [(4, 50)]
    assert [c.seed for c in made] == [50, 51, 52, 53]
    assert len({c.text for c in made}) == 4
    counted = sum(len(c.logprobs or ()) for c in made)
    assert counted <= usage.completion_tokens <= counted + 4  # at most an end token each; the server reports one choice


async def test_together_or_apart_the_choices_are_the_same() -> None:
    together, _ = await (await Wire().open()).sample(ASK, sampling(3))
    wire = Wire(n="ignore")
    client = await wire.open()
    apart, usage = await client.sample(ASK, sampling(3))
    assert [c.text for c in apart] == [c.text for c in together]
    assert [c.seed for c in apart] == [50, 51, 52]
    assert sorted(b["seed"] for b in wire.bodies) == [50, 51, 52] and not any("n" in b for b in wire.bodies)
    assert usage.prompt_tokens == 3 * wire.model.route("/v1/chat/completions", f"Bearer {KEY}", wire.bodies[0])[1][
        "usage"]["prompt_tokens"]  # fmt: skip


@pytest.mark.parametrize("engine", [True, False])
async def test_the_likeliest_choice_and_the_others(engine: bool) -> None:
    """The embedded engine takes both temperatures in one request; another server is asked twice, side by side."""
    wire = Wire(states=engine)
    client = await wire.open()
    made, usage = await client.sample(ASK, sampling(3, greedy_first=True))
    asked = sorted((b["temperature"], b.get("n", 1), b["seed"], b.get("greedy_first", False)) for b in wire.bodies)
    assert asked == ([(0.8, 3, 50, True)] if engine else [(0.0, 1, 50, False), (0.8, 2, 51, False)])
    drawn, _ = await client.sample(ASK, sampling(3))
    assert [c.text for c in made[1:]] == [c.text for c in drawn[1:]] and made[0].text != drawn[0].text
    assert [(c.temperature, c.seed) for c in made] == [(0.0, 50), (0.8, 51), (0.8, 52)]
    assert usage.completion_tokens >= sum(len(c.logprobs or ()) for c in made)


async def test_the_likeliest_choice_alone_and_what_is_left_where_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    client = await wire.open()
    (made,), _ = await client.sample(ASK, sampling(1, greedy_first=True))
    assert made.temperature == 0.0 and len(wire.bodies) == 1
    wire.script = [httpx.Response(200, text="<html>")]
    with caplog.at_level(logging.WARNING):
        kept, _ = await client.sample(ASK, sampling(2, greedy_first=True))
    assert len(kept) == 1 and "some of the requests for 2 choices failed" in caplog.text
    wire.script = [httpx.Response(200, text="<html>")] * 2
    with pytest.raises(ModelReplyError, match="an HTML page"):
        await client.sample(ASK, sampling(2, greedy_first=True))


async def test_more_choices_than_slots_are_asked_for_in_batches_and_the_limit_is_remembered() -> None:
    wire = Wire(slots=4)
    client = await wire.open()
    made, _ = await client.sample(ASK, sampling(7))
    assert [c.seed for c in made] == list(range(50, 57))
    assert [(b.get("n", 1), b["seed"]) for b in wire.bodies] == [(7, 50), (4, 50), (3, 54)]
    wire.requests.clear()
    made, _ = await client.sample(ASK, sampling(9))
    assert [c.seed for c in made] == list(range(50, 59))
    assert sorted(b.get("n", 1) for b in wire.bodies) == [1, 4, 4]


async def test_a_refusal_that_is_not_about_n_does_not_teach_a_limit() -> None:
    wire = Wire(n_ctx=100)
    client = await wire.open()
    with pytest.raises(Refused, match="exceeds the available context"):
        await client.sample([Message(role="user", content="word " * 500)], sampling(4))
    wire.requests.clear()
    await client.sample(ASK, sampling(4))
    assert [b["n"] for b in wire.bodies] == [4]


async def test_what_was_paid_for_is_kept_when_a_sibling_fails(caplog: pytest.LogCaptureFixture) -> None:
    client = await Wire(n="ignore").open(None, httpx.Response(200, text="<html>"), None)
    with caplog.at_level(logging.WARNING):
        made, _ = await client.sample(ASK, sampling(3))
    assert len(made) == 2 and "1 of the requests for 3 choices failed" in caplog.text


async def test_an_error_where_every_sibling_failed() -> None:
    client = await Wire(n="ignore").open(*[httpx.Response(200, text="<html>")] * 3)
    with pytest.raises(ModelReplyError, match="an HTML page"):
        await client.sample(ASK, sampling(3))


async def test_states_come_with_their_tokens() -> None:
    wire = Wire(states=True)
    client = await wire.open(states=True)
    made, _ = await client.sample(ASK, sampling(2))
    for completion in made:
        assert completion.states is not None and completion.logprobs is not None
        assert completion.states.shape == (len(completion.logprobs), STATE_WIDTH)
    await (await wire.open()).sample(ASK, sampling(1))
    assert "states" not in wire.bodies[-1]


async def test_no_more_choices_than_asked_for() -> None:
    extra = {"index": 0, "message": {"content": "x"}}
    reply = httpx.Response(200, json={"choices": [extra] * 3, "usage": {"prompt_tokens": 1, "completion_tokens": 9}})
    client = await Wire().open(reply)
    made, usage = await client.sample(ASK, sampling(2))
    assert len(made) == 2 and usage.completion_tokens == 9


async def test_stop_strings_are_sent() -> None:
    wire = Wire(answer=lambda messages, seed: f"seed {seed} ``` tail")
    client = await wire.open()
    made, _ = await client.sample(ASK, sampling(1, stop=("```",)))
    assert wire.bodies[0]["stop"] == ["```"] and made[0].text == "seed 50 "


async def test_a_given_answer_is_read_not_generated() -> None:
    wire = Wire(states=True)
    client = await wire.open()
    reading = await client.read(ASK, "def f():\n    return 1\n")
    assert [(r.url.path, r.method) for r in wire.requests] == [("/v1/atlas/read", "POST")]
    assert isinstance(reading, Completion) and reading.text == "def f():\n    return 1\n"
    assert reading.states is not None and reading.logprobs is not None
    assert reading.states.shape == (len(reading.logprobs), STATE_WIDTH)
    assert b"".join(t.token for t in reading.logprobs).decode() == reading.text
    assert reading.seed is None and reading.temperature is None


async def test_an_answer_too_long_to_read_is_a_value() -> None:
    client = await Wire(states=True, n_ctx=300).open()
    reading = await client.read(ASK, "word " * 500)
    assert isinstance(reading, ModelTooLong) and "do not fit 300" in reading.message


async def test_only_an_engine_with_states_reads() -> None:
    client = await Wire().open()
    with pytest.raises(ConfigError, match="cannot read"):
        await client.read(ASK, "x")


async def test_a_reading_refused_for_another_reason_is_an_error() -> None:
    client = await Wire(states=True).open(status(400, "text must not be empty"))
    with pytest.raises(Refused, match="must not be empty"):
        await client.read(ASK, "")


@pytest.mark.parametrize("habit", ["give", "float_only"])
async def test_vectors_are_the_same_in_either_encoding(habit: str) -> None:
    wire = Wire(embeddings=habit)
    client = await wire.open()
    first, second = await client.embed(["def f(): pass", "x = 1"])
    assert isinstance(first, np.ndarray) and isinstance(second, np.ndarray)
    assert first.dtype == np.float32 and first.shape == second.shape == (16,)
    assert float(np.linalg.norm(first)) == pytest.approx(1.0, abs=1e-6) and not np.array_equal(first, second)
    assert {b["encoding_format"] for b in wire.bodies} == {"float" if habit == "float_only" else "base64"}


async def test_a_text_that_is_too_long_spoils_only_itself() -> None:
    client = await Wire().open()
    short, long, other = await client.embed(["a", "word " * 500, "b"])
    assert isinstance(short, np.ndarray) and isinstance(other, np.ndarray)
    assert isinstance(long, ModelTooLong) and "too large" in long.message


async def test_a_clipped_text_has_no_vector() -> None:
    client = await Wire(embeddings="clip").open()
    (vector,) = await client.embed(["word " * 500])
    assert isinstance(vector, ModelTooLong) and "64 tokens of a text of 500 words" in vector.message


async def test_no_texts_no_requests() -> None:
    wire = Wire()
    client = await wire.open()
    assert await client.embed([]) == () and not wire.requests


async def test_without_embeddings_the_setting_to_change_is_named() -> None:
    client = await Wire(embeddings="missing").open()
    with pytest.raises(ConfigError, match=r"no embeddings.*ATLAS_LLM__BASE_URL"):
        await client.embed(["a"])


async def test_vectors_of_different_lengths_are_refused() -> None:
    answers = [httpx.Response(200, json={"data": [{"embedding": [1.0] * size}]}) for size in (2, 3)]
    client = await Wire().open(*answers)
    with pytest.raises(ModelReplyError, match="different lengths"):
        await client.embed(["a", "b"])


async def test_one_failed_embedding_fails_the_call_with_its_own_error() -> None:
    client = await Wire().open(None, status(400, "Input content cannot be empty"), None)
    with pytest.raises(Refused, match="cannot be empty"):
        await client.embed(["a", "", "b"])
