"""The OpenAI wire format, pure: what is asked, and what a reply means. No I/O here.

Replies are foreign data: unknown fields are ignored, and what Atlas reads is checked. A reply that cannot be read raises
ModelReplyError with a short excerpt that is safe to print.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlas.errors import ModelReplyError
from atlas.protocols import Capabilities, Sampling
from atlas.types import Completion, Message, TokenLogprob, Usage

TOP_LOGPROBS = 2
"""The generated token and one other: what the runner-up needs."""

_EXCERPT_CHARS = 200
_TOO_LONG = re.compile(
    r"too (large|long)|(maximum|available) context|context (length|size|window)|longer than|exceeds? .*(token|length|size)",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(r"not support|unsupported|not implemented|not enabled", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Habits of one server that only the client needs to know.

    `counts_all`: its usage counts every one of n choices (llama.cpp's server counts one).
    """

    counts_all: bool = False
    embedding_format: Literal["base64", "float"] = "base64"


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TopReply(_Foreign):
    """One of the likeliest tokens at a position. llama.cpp writes a log-probability of minus infinity as null."""

    id: int | None = None
    token: str = ""
    bytes: tuple[int, ...] | None = None
    logprob: float | None = None


class TokenReply(_Foreign):
    """One generated token."""

    id: int | None = None
    token: str
    bytes: tuple[int, ...] | None = None
    logprob: float = Field(allow_inf_nan=False)
    top_logprobs: tuple[TopReply, ...] | None = None


class LogprobsReply(_Foreign):
    content: tuple[TokenReply, ...] | None = None


class StatesReply(_Foreign):
    """Atlas's extension: the last layer's state of every generated token."""

    dtype: Literal["float16"]
    shape: tuple[int, int]
    data: str


class MessageReply(_Foreign):
    content: str | None = None


class ChoiceReply(_Foreign):
    index: int = 0
    message: MessageReply
    finish_reason: str | None = None
    logprobs: LogprobsReply | None = None
    states: StatesReply | None = None


class UsageReply(_Foreign):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class ChatReply(_Foreign):
    """Answer of POST /chat/completions. Without `usage` no token budget could be kept, so it must be there."""

    choices: tuple[ChoiceReply, ...] = Field(min_length=1)
    usage: UsageReply

    @property
    def counted(self) -> int | None:
        """Log-probability entries of all choices together, or None where a choice has none."""
        entries = [choice.logprobs.content if choice.logprobs else None for choice in self.choices]
        return None if any(e is None for e in entries) else sum(len(e or ()) for e in entries)


class AtlasAdvert(_Foreign):
    """What the embedded engine says of itself in GET /models."""

    states: bool = False
    engine: str | None = None
    n_embd: int | None = None
    model_sha256: str | None = None
    max_embed_tokens: int | None = None


class ModelEntry(_Foreign):
    id: str
    aliases: tuple[str, ...] = ()
    atlas: AtlasAdvert = AtlasAdvert()


class ModelsReply(_Foreign):
    """Answer of GET /models. Ollama writes null where it has no model."""

    data: tuple[ModelEntry, ...] | None


class VectorReply(_Foreign):
    embedding: str | tuple[float, ...]


class EmbeddingsReply(_Foreign):
    """Answer of POST /embeddings to one text."""

    data: tuple[VectorReply, ...] = Field(min_length=1, max_length=1)
    usage: UsageReply | None = None


Reply = TypeVar("Reply", bound=BaseModel)


def parse(kind: type[Reply], body: bytes, *, url: str) -> Reply:
    """The reply that `body` holds. Raises ModelReplyError, naming `url`, where it holds none."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            what = "an HTML page" if body.lstrip()[:1] == b"<" else "something that is not (whole) JSON"
        else:
            where = ".".join(str(part) for part in first["loc"]) or "the reply"
            what = f"JSON of another schema ({where}: {first['msg']})"
        raise ModelReplyError(f"{url} answered {what}: {excerpt(body)}") from None


def excerpt(body: bytes, *, secret: str | None = None, limit: int = _EXCERPT_CHARS) -> str:
    """A short, printable, key-free piece of a foreign reply, for a message to a person."""
    text = body[: 64 * 1024].decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return repr(text if len(text) <= limit else text[:limit] + "…") if text else "an empty body"


def says_too_long(message: str) -> bool:
    """Whether a refusal means that a text does not fit the model, whatever its status (llama.cpp answers 500)."""
    return _TOO_LONG.search(message) is not None


def says_never(message: str) -> bool:
    """Whether an error says that asking again is of no use, though its status is that of a passing failure."""
    return says_too_long(message) or _UNSUPPORTED.search(message) is not None


def chat_payload(
    messages: Sequence[Message], sampling: Sampling, *, capabilities: Capabilities, start: int, n: int, states: bool
) -> dict[str, Any]:
    """Body of POST /chat/completions for choices `start` .. `start + n - 1` of `sampling`.

    top_p is sent even when 1.0: servers have other defaults (llama.cpp: 0.95). `n` is left out when 1, because some
    servers refuse the field itself.
    """
    body: dict[str, Any] = {
        "model": capabilities.model,
        "messages": [message.model_dump() for message in messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if n > 1:
        body["n"] = n
    if capabilities.logprobs:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    if capabilities.seeds:
        body["seed"] = sampling.seed + start
    if states:
        body["states"] = True
    return body


def completions(reply: ChatReply, sampling: Sampling, *, seed: int | None, states: bool) -> list[Completion]:
    """The choices of a reply in the order of their index.

    `seed`: the request's. Choice i is given seed + i: llama.cpp and vLLM both derive the seeds of n choices so.
    Raises ModelReplyError where states were asked for and do not match the tokens.
    """
    made = []
    for place, choice in enumerate(sorted(reply.choices, key=lambda c: c.index)):
        tokens = _tokens(choice)
        made.append(
            Completion(
                text=choice.message.content or "",
                finish_reason=choice.finish_reason or "unknown",
                logprobs=tokens,
                states=_states(choice.states, tokens) if states else None,
                seed=None if seed is None else seed + place,
                temperature=sampling.temperature,
            )
        )
    return made


def _tokens(choice: ChoiceReply) -> tuple[TokenLogprob, ...] | None:
    entries = choice.logprobs.content if choice.logprobs else None
    if entries is None:
        return None
    tokens = [
        TokenLogprob(token=_token_bytes(entry), logprob=entry.logprob, second=_runner_up(entry)) for entry in entries
    ]
    # llama.cpp lists the end-of-generation token as a last entry without text; it is no part of the answer.
    if tokens and not tokens[-1].token and choice.finish_reason == "stop":
        tokens.pop()
    return tuple(tokens)


def _token_bytes(entry: TokenReply) -> bytes:
    """A token may hold half a character, so its bytes are the truth and its text only the next best thing."""
    if entry.bytes is None:
        return entry.token.encode("utf-8", "surrogatepass")
    try:
        return bytes(entry.bytes)
    except ValueError:
        raise ModelReplyError(f"The model server's bytes of token {entry.token[:40]!r} are not bytes.") from None


def _runner_up(entry: TokenReply) -> float | None:
    """The highest log-probability among the other tokens; above `entry.logprob` where the likeliest was not drawn."""
    chosen = (entry.id, entry.token, entry.bytes)
    others = [
        top.logprob
        for top in entry.top_logprobs or ()
        if top.logprob is not None and (top.id, top.token, top.bytes) != chosen
    ]
    return max(others, default=None)


def _states(reply: StatesReply | None, tokens: Sequence[TokenLogprob] | None) -> NDArray[np.float16]:
    if reply is None:
        raise ModelReplyError("The engine was asked for states and sent none.")
    rows, width = reply.shape
    raw = _unbase64(reply.data)
    if rows < 0 or width < 1 or len(raw) != rows * width * 2:
        raise ModelReplyError(f"The engine's states have shape {reply.shape} but {len(raw)} bytes.")
    if tokens is not None and rows != len(tokens):
        raise ModelReplyError(f"The engine sent {rows} states for {len(tokens)} tokens.")
    states = np.frombuffer(raw, dtype="<f2").reshape(rows, width).astype(np.float16)
    if not np.isfinite(states).all():
        raise ModelReplyError("The engine's states are not finite.")
    return states


def usage(reply: ChatReply, *, max_tokens: int) -> Usage:
    """What a reply cost. llama.cpp's server counts one choice of n in `completion_tokens`, so entries are counted too.

    The larger of the two is taken, because entries may leave out tokens that were paid for; a report above what
    `max_tokens` allows is a lie and yields to the count. A server that counts one choice and gives no entries is never
    asked for n > 1: see `atlas.llm.probe`.
    """
    reported, counted = reply.usage.completion_tokens, reply.counted
    if counted is not None and reported > len(reply.choices) * max_tokens:
        reported = counted
    return Usage(prompt_tokens=reply.usage.prompt_tokens, completion_tokens=max(reported, counted or 0))


def embedding_payload(text: str, *, model: str, dialect: Dialect) -> Mapping[str, Any]:
    """Body of POST /embeddings for one text."""
    return {"model": model, "input": text, "encoding_format": dialect.embedding_format}


def vector(reply: EmbeddingsReply) -> NDArray[np.float32]:
    """The one vector (d,) of a reply, sent as base64 of little-endian float32 or as numbers, whichever was asked for."""
    sent = reply.data[0].embedding
    if isinstance(sent, str):
        raw = _unbase64(sent)
        if len(raw) % 4:
            raise ModelReplyError(f"The model server's embedding has {len(raw)} bytes, which are not float32.")
        made = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    else:
        made = np.asarray(sent, dtype=np.float32)
    if made.size == 0 or not np.isfinite(made).all():
        raise ModelReplyError("The model server's embedding is empty or not finite.")
    return made


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ModelReplyError("The model server's base64 is damaged.") from None
