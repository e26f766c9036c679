"""What a server can do is asked once, and a server that cannot serve is refused in words that help."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from atlas.errors import ConfigError, ModelReplyError
from atlas.llm.client import OpenAIClient
from atlas.protocols import LLM
from tests.support.model_wire import KEY, URL, Wire

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
        return wire.handle(request)

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
