"""The shapes of a model server's replies, and how to read one that may be anything.

Replies are foreign data: unknown fields are ignored, and what Atlas reads is checked. A reply that cannot be read
raises ModelReplyError with a short excerpt that is safe to print.
"""

from __future__ import annotations

import json
import re
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlas.errors import ModelReplyError

_EXCERPT_CHARS = 200
_TOO_LONG = re.compile(
    r"too (large|long)|(maximum|available) context|context (length|size|window)|longer than|"
    r"exceeds? .*(token|length|size)",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(r"not support|unsupported|not implemented|not enabled", re.IGNORECASE)


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TopReply(_Foreign):
    """One of the likeliest tokens at a position. llama.cpp writes a log-probability of minus infinity as null."""

    logprob: float | None = None


class TokenReply(_Foreign):
    """One generated token."""

    token: str
    bytes: tuple[int, ...] | None = None
    logprob: float = Field(allow_inf_nan=False)
    top_logprobs: tuple[TopReply, ...] | None = None


class LogprobsReply(_Foreign):
    content: tuple[TokenReply, ...] | None = None


class StatesReply(_Foreign):
    """Atlas's extension: the state of every generated token, two thirds up the model's layers."""

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
    completion_tokens: int = Field(ge=0)


class ChatReply(_Foreign):
    """Answer of POST /chat/completions. Without `usage` no token budget could be kept, so it must be there."""

    choices: tuple[ChoiceReply, ...] = Field(min_length=1)
    usage: UsageReply

    @property
    def counted(self) -> int | None:
        """Log-probability entries of all choices together, or None where a text has none."""
        total = 0
        for choice in self.choices:
            entries = choice.logprobs.content if choice.logprobs else None
            if entries is None and choice.message.content:
                return None
            total += len(entries or ())
        return total


class AtlasAdvert(_Foreign):
    """What the embedded engine says of itself in GET /models."""

    states: bool = False
    engine: str | None = None
    n_embd: int | None = None
    model_sha256: str | None = None
    max_embed_tokens: int | None = None


class ModelEntry(_Foreign):
    id: str
    aliases: tuple[str, ...] | None = None
    atlas: AtlasAdvert = AtlasAdvert()


class ModelsReply(_Foreign):
    """Answer of GET /models. Ollama writes null where it has no model."""

    data: tuple[ModelEntry, ...] | None


class VectorReply(_Foreign):
    embedding: str | tuple[float, ...]


class EmbeddingUsageReply(_Foreign):
    prompt_tokens: int | None = None


class EmbeddingsReply(_Foreign):
    """Answer of POST /embeddings to one text."""

    data: tuple[VectorReply, ...] = Field(min_length=1, max_length=1)
    usage: EmbeddingUsageReply | None = None


Reply = TypeVar("Reply", bound=BaseModel)


def parse(kind: type[Reply], body: bytes, *, url: str, secret: str | None = None) -> Reply:
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
        raise ModelReplyError(f"{url} answered {what}: {excerpt(body, secret=secret)}") from None


def excerpt(body: bytes, *, secret: str | None = None) -> str:
    """A short, printable, key-free piece of a foreign reply, for a message to a person."""
    text = body[: 64 * 1024].decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return repr(text if len(text) <= _EXCERPT_CHARS else text[:_EXCERPT_CHARS] + "…") if text else "an empty body"


def error_text(body: bytes) -> bytes:
    """The sentence inside an error reply, whichever of the customary places it is in; else the whole body."""
    try:
        reply = json.loads(body)
    except ValueError:
        return body
    if not isinstance(reply, dict):
        return body
    inner = reply.get("error") or reply.get("detail") or reply.get("message")
    if isinstance(inner, dict):
        inner = inner.get("message")
    return inner.encode("utf-8", "replace") if isinstance(inner, str) and inner else body


def says_too_long(message: str) -> bool:
    """Whether a refusal means that a text does not fit the model, whatever its status (llama.cpp answers 500)."""
    return _TOO_LONG.search(message) is not None


def says_never(message: str) -> bool:
    """Whether an error says that asking again is of no use, though its status is that of a passing failure."""
    return says_too_long(message) or _UNSUPPORTED.search(message) is not None
