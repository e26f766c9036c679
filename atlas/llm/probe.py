"""Asks a model server once what it can do, so that nothing has to be guessed later.

Good servers answer three requests: the models, one chat with everything in it, one embedding. A server that refuses the
chat is asked for each feature alone, to find out which one it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atlas.errors import ConfigError, ModelReplyError
from atlas.llm import replies, wire
from atlas.llm.endpoint import Endpoint, Refused
from atlas.llm.replies import ChatReply, ModelEntry
from atlas.llm.wire import EmbeddingFormat
from atlas.protocols import Capabilities

_MAX_TOKENS = 16
_CHOICES = 2
_FEATURES: Mapping[str, Mapping[str, Any]] = {
    "n": {"n": _CHOICES},
    "logprobs": {"logprobs": True, "top_logprobs": wire.TOP_LOGPROBS},
    "seeds": {"seed": 1},
}
_BAD_REQUEST = (400, 405, 415, 422, 501)
"""How servers say that they don't take a field."""


async def probe(endpoint: Endpoint, model: str | None) -> tuple[Capabilities, EmbeddingFormat]:
    """What the server at `endpoint` can do with `model`, or with its first model; and how it packs embeddings.

    Raises ConfigError (no such model, wrong key, wrong address), ModelUnavailable, ModelReplyError.
    """
    try:
        entry = await _find_model(endpoint, model)
        accepted, reply = await _chat(endpoint, entry.id)
        encoding = await _embedding_format(endpoint, entry.id)
    except Refused as refusal:
        raise _as_configuration(endpoint, refusal) from None
    logprobs = "logprobs" in accepted and reply.counted is not None
    capabilities = Capabilities(
        model=entry.id,
        n="n" in accepted and _honours_n(reply) and (logprobs or _counts_all(reply)),
        logprobs=logprobs,
        embeddings=encoding is not None,
        states=entry.atlas.states,
        seeds="seeds" in accepted,
        model_sha256=entry.atlas.model_sha256 or None,
        max_embed_tokens=entry.atlas.max_embed_tokens,
        engine=entry.atlas.engine,
    )
    return capabilities, encoding or "base64"


async def served(endpoint: Endpoint, model: str | None) -> str:
    """The name of the model that would be asked, by the server's list alone. Raises as `probe`."""
    try:
        return (await _find_model(endpoint, model)).id
    except Refused as refusal:
        raise _as_configuration(endpoint, refusal) from None


async def _find_model(endpoint: Endpoint, name: str | None) -> ModelEntry:
    try:
        reply = await endpoint.get("models", replies.ModelsReply)
    except Refused as refusal:
        # Some gateways have no list. A named model needs none: a wrong name is refused by the chat that follows.
        if name is None or refusal.status not in (404, *_BAD_REQUEST):
            raise
        return ModelEntry(id=name)
    models = reply.data or ()
    if not models:
        raise ConfigError(f"The server at {endpoint.url} serves no model. Load one there, or use another server.")
    if name is None:
        return models[0]
    found = next((m for m in models if name == m.id or name in (m.aliases or ())), None)
    if found is None:
        have = ", ".join(repr(m.id[:200]) for m in models[:5]) + (", …" if len(models) > 5 else "")
        raise ConfigError(
            f"The server at {endpoint.url} has no model {name!r}; it has {have}. "
            "Set ATLAS_LLM__MODEL to one of these, or leave it unset for the first."
        )
    return found


async def _chat(endpoint: Endpoint, model: str) -> tuple[set[str], ChatReply]:
    """The features the server takes, and its reply to a request with all of those."""
    accepted = set(_FEATURES)
    try:
        return accepted, await _ask(endpoint, model, accepted)
    except Refused as refusal:
        if refusal.status not in _BAD_REQUEST:
            raise
    await _ask(endpoint, model, set())
    accepted = {feature for feature in _FEATURES if await _takes(endpoint, model, feature)}
    return accepted, await _ask(endpoint, model, accepted)


async def _takes(endpoint: Endpoint, model: str, feature: str) -> bool:
    try:
        await _ask(endpoint, model, {feature})
    except Refused as refusal:
        if refusal.status not in _BAD_REQUEST:
            raise
        return False
    return True


async def _ask(endpoint: Endpoint, model: str, features: set[str]) -> ChatReply:
    """A question with many answers, sampled hot: two choices that agree on 16 tokens are one choice sent twice."""
    payload: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "List thirty random English words, separated by spaces."}],
        "max_tokens": _MAX_TOKENS,
        "temperature": 1.5,
        "top_p": 1.0,
    }
    for feature in sorted(features):
        payload |= _FEATURES[feature]
    return await endpoint.post("chat/completions", payload, ChatReply)


def _honours_n(reply: ChatReply) -> bool:
    """Two choices came, and they differ: a server that seeds every choice alike would sell one program n times."""
    return len(reply.choices) == _CHOICES and len({choice.message.content for choice in reply.choices}) == _CHOICES


def _counts_all(reply: ChatReply) -> bool:
    """Whether usage counts all choices. Only sure where each ran into the limit, so that the right sum is known."""
    full = all(choice.finish_reason == "length" for choice in reply.choices)
    return full and reply.usage.completion_tokens >= len(reply.choices) * _MAX_TOKENS


async def _embedding_format(endpoint: Endpoint, model: str) -> EmbeddingFormat | None:
    """The encoding in which the server gives embeddings of a text, or None where it gives none."""
    encodings: tuple[EmbeddingFormat, ...] = ("base64", "float")
    for encoding in encodings:
        payload = wire.embedding_payload("def f(x): return x", model=model, encoding=encoding)
        try:
            wire.vector(await endpoint.post("embeddings", payload, replies.EmbeddingsReply))
        except Refused as refusal:
            if refusal.status in (401, 403):
                raise
        except ModelReplyError:
            # A web page or another schema at this address: not embeddings, whatever it is.
            continue
        else:
            return encoding
    return None


def _as_configuration(endpoint: Endpoint, refusal: Refused) -> ConfigError:
    """At start, a refusal means that a setting is wrong. Says which."""
    if refusal.status in (401, 403):
        fix = "Set ATLAS_LLM__API_KEY to a key that this server accepts."
    elif refusal.status == 404:
        fix = "Set ATLAS_LLM__BASE_URL to where the OpenAI-compatible API begins (it often ends in /v1)."
    else:
        fix = f"Check ATLAS_LLM__BASE_URL and ATLAS_LLM__MODEL, and the log of the server at {endpoint.url}."
    return ConfigError(f"{refusal} {fix}")
