"""The real client against a model server that is a function: no sockets, every habit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from atlas.errors import ConfigError, ModelReplyError, ModelUnavailable
from atlas.llm.client import OpenAIClient
from atlas.llm.endpoint import Refused
from atlas.llm.retry import RetryPolicy
from atlas.protocols import LLM, ModelTooLong, Sampling
from atlas.types import Completion, Message
from tests.support.fake_model import STATE_WIDTH, FakeModel

pytestmark = pytest.mark.anyio

URL = "http://model.test"
KEY = "sk-fake-0123456789"
ASK = [Message(role="user", content="Write a haiku.")]
EAGER = RetryPolicy(attempts=3, base_s=0.0)

Answer = httpx.Response | Exception


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Wire:
    """`FakeModel` behind httpx.MockTransport. `script` answers the next POSTs; None there lets the model answer."""

    def __init__(self, **habits: Any) -> None:
        self.model = FakeModel(**habits)
        self.requests: list[httpx.Request] = []
        self.script: list[Answer | None] = []
        self.transport = httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.script.pop(0) if self.script and request.method == "POST" else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        body = json.loads(request.content) if request.content else None
        status, reply, _ = self.model.route(request.url.path, request.headers.get("authorization"), body)
        return httpx.Response(status, json=reply)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(r.content) for r in self.requests if r.content]

    async def open(self, *script: Answer | None, key: str | None = KEY, url: str = URL, **options: Any) -> OpenAIClient:
        """A client that has probed; `script` is for what it asks after that."""
        client = await OpenAIClient.open(url, key, transport=self.transport, retry=EAGER, **options)
        self.requests.clear()
        self.script = list(script)
        return client


def sampling(n: int, **changes: Any) -> Sampling:
    return Sampling(**{"n": n, "temperature": 0.8, "seed": 50, "max_tokens": 40, **changes})


def status(code: int, message: str = "busy", **headers: str) -> httpx.Response:
    return httpx.Response(
        code, json={"error": {"message": message}}, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


# --- probing ----------------------------------------------------------------------------------------------------------


async def test_three_requests_tell_all_of_a_good_server() -> None:
    wire = Wire(states=True)
    client = await OpenAIClient.open(URL, KEY, transport=wire.transport)
    assert [r.url.path for r in wire.requests] == ["/v1/models", "/v1/chat/completions", "/v1/embeddings"]
    found = client.capabilities
    assert (found.n, found.logprobs, found.embeddings, found.states, found.seeds) == (True,) * 5
    assert (found.model, found.engine, found.max_embed_tokens) == ("fake-model", "fake 1", 64)
    assert found.model_sha256 is not None and len(found.model_sha256) == 64
    assert isinstance(client, LLM)


@pytest.mark.parametrize(
    ("habits", "expected"),
    [
        ({"n": "ignore"}, {"n": False}),
        ({"n": "refuse"}, {"n": False}),
        ({"n": "twins"}, {"n": False}),  # n copies of one program are no candidates
        ({"logprobs": "omit", "usage": "one"}, {"logprobs": False, "n": False}),  # the bill could not be trusted
        ({"logprobs": "omit", "usage": "all"}, {"logprobs": False, "n": True}),
        ({"logprobs": "refuse", "usage": "all"}, {"logprobs": False, "n": True}),
        ({"logprobs": "refuse", "seeds": "refuse", "n": "refuse"}, {"logprobs": False, "seeds": False, "n": False}),
        ({"seeds": "refuse"}, {"seeds": False}),
        ({"embeddings": "missing"}, {"embeddings": False}),
        ({"embeddings": "unsupported"}, {"embeddings": False}),
        ({"embeddings": "float_only"}, {}),
        ({"usage": "huge"}, {}),
        ({"states": True}, {"states": True}),
    ],
)
async def test_what_a_server_cannot_do_is_found_out(habits: dict[str, Any], expected: dict[str, bool]) -> None:
    client = await Wire(**habits).open()
    good = {"n": True, "logprobs": True, "embeddings": True, "states": False, "seeds": True}
    assert {name: getattr(client.capabilities, name) for name in good} == good | expected


async def test_embeddings_that_are_a_web_page_are_none() -> None:
    wire = Wire()
    wire.script = [None, httpx.Response(200, text="<html>"), httpx.Response(200, text="<html>")]
    client = await OpenAIClient.open(URL, KEY, transport=wire.transport)
    assert not client.capabilities.embeddings


@pytest.mark.parametrize("name", ["fake-model", "alias-of-fake-model"])
async def test_a_model_goes_by_its_name_or_alias(name: str) -> None:
    client = await Wire(more_models=("second",)).open(model=name)
    assert client.capabilities.model == "fake-model"


async def test_the_first_model_is_taken_where_none_is_named() -> None:
    assert (await Wire(more_models=("second",)).open()).capabilities.model == "fake-model"


async def test_an_absent_model_is_a_configuration_error_that_names_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r"no model 'gpt-9'; it has 'fake-model', 'second'.*ATLAS_LLM__MODEL"):
        await Wire(more_models=("second",)).open(model="gpt-9")


async def test_a_server_without_models_says_so() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"object": "list", "data": None}))
    with pytest.raises(ConfigError, match="serves no model"):
        await OpenAIClient.open(URL, transport=transport)


async def test_a_gateway_without_a_list_serves_a_named_model() -> None:
    wire = Wire()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/models"):
            return httpx.Response(404, text="nope")
        return wire._handle(request)

    client = await OpenAIClient.open(URL, KEY, model="mine", transport=httpx.MockTransport(handle))
    assert client.capabilities.model == "mine"
    with pytest.raises(ConfigError, match="ATLAS_LLM__BASE_URL"):
        await OpenAIClient.open(URL, KEY, transport=httpx.MockTransport(handle))


@pytest.mark.parametrize("key", [None, "sk-wrong-key"])
async def test_a_wrong_key_is_a_configuration_error_without_the_key(key: str | None) -> None:
    with pytest.raises(ConfigError, match="ATLAS_LLM__API_KEY") as caught:
        await Wire().open(key=key)
    assert "sk-wrong-key" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-line\nbreak", "sk blank", "sk-ünicode", "sk-nul\0"])
async def test_a_key_that_cannot_be_sent_is_refused_before_a_library_prints_it(key: str) -> None:
    with pytest.raises(ConfigError, match="API key holds") as caught:
        await Wire().open(key=key)
    assert key not in str(caught.value) and "sk" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ftp://host/v1",
        "http://",
        "http://user:hunter2@host/v1",
        "http://host/v1?key=hunter2",
        "http://[::1",
    ],
)
async def test_a_base_url_that_cannot_work(url: str) -> None:
    with pytest.raises(ConfigError, match="ATLAS_LLM__BASE_URL") as caught:
        await Wire().open(url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://host", "http://host/v1/models"),
        ("http://host/", "http://host/v1/models"),
        (" https://host:8/openai/v1/ ", "https://host:8/openai/v1/models"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1/models"),
    ],
)
async def test_base_urls_in_the_forms_that_people_write(url: str, asked: str) -> None:
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(401, json={"error": "no"})

    with pytest.raises(ConfigError):
        await OpenAIClient.open(url, KEY, transport=httpx.MockTransport(handle))
    assert seen == [asked]


async def test_states_are_only_to_be_had_where_they_are_offered() -> None:
    with pytest.raises(ConfigError, match="states"):
        await Wire().open(states=True)


async def test_a_server_that_never_reports_usage_is_refused_at_start() -> None:
    with pytest.raises(ModelReplyError, match="usage"):
        await Wire(usage="missing").open()


# --- sampling ---------------------------------------------------------------------------------------------------------


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


# --- failures ---------------------------------------------------------------------------------------------------------


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
        (httpx.ReadTimeout(""), ModelUnavailable, "sent nothing for 300 s"),
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
        return model._handle(request)

    client = await OpenAIClient.open(URL, KEY, transport=httpx.MockTransport(handle), concurrency=3)
    made, _ = await client.sample(ASK, sampling(8))
    assert len(made) == 8 and most == 3


async def test_a_body_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    client = await Wire().open(httpx.Response(200, text="x" * 1001))
    monkeypatch.setattr("atlas.llm.endpoint._MAX_BODY", 1000)
    with pytest.raises(ModelReplyError, match="sent more than"):
        await client.sample(ASK, sampling(1))


# --- embeddings -------------------------------------------------------------------------------------------------------


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
