"""What is asked over the wire and what a reply means: pure, no I/O here. The shapes of replies are in `replies`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from atlas.errors import ModelReplyError
from atlas.llm.replies import ChatReply, ChoiceReply, EmbeddingsReply, StatesReply, TokenReply
from atlas.protocols import Capabilities, Sampling
from atlas.types import Completion, Message, TokenLogprob, Usage

TOP_LOGPROBS = 2
"""The generated token and one other: what the runner-up needs."""


EmbeddingFormat = Literal["base64", "float"]


def chat_payload(
    messages: Sequence[Message], sampling: Sampling, *, capabilities: Capabilities, start: int, n: int, states: bool
) -> dict[str, Any]:
    """Body of POST /chat/completions for choices `start` .. `start + n - 1` of `sampling`.

    `greedy_first` is the embedded engine's own, which then reads the prompt once for choices of both temperatures.
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
    if sampling.greedy_first and start == 0:
        body["greedy_first"] = True
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if states:
        body["states"] = True
    return body


def read_payload(messages: Sequence[Message], text: str) -> dict[str, Any]:
    """Body of POST /atlas/read, the embedded engine's: `text` stands as the answer to `messages`."""
    return {"messages": [message.model_dump() for message in messages], "text": text}


def completions(
    reply: ChatReply, sampling: Sampling, *, start: int = 0, seed: int | None, states: bool
) -> list[Completion]:
    """The choices of a reply in the order of their index, `start` being the first one's place in `sampling`.

    `seed`: the request's. Choice i is given seed + i: llama.cpp and vLLM both derive the seeds of n choices so.
    Raises ModelReplyError where states were asked for and do not match the tokens.
    """
    choices = sorted(reply.choices, key=lambda choice: choice.index)
    seeds = [None if seed is None else seed + place for place in range(len(choices))]
    return [
        completion(choice, seed=own, temperature=sampling.temperature_of(start + place), states=states)
        for place, (choice, own) in enumerate(zip(choices, seeds, strict=True))
    ]


def completion(choice: ChoiceReply, *, seed: int | None, temperature: float | None, states: bool) -> Completion:
    """One choice. Raises ModelReplyError where `states` were asked for and do not match the tokens."""
    tokens = _tokens(choice)
    return Completion(
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "unknown",
        logprobs=tokens,
        states=_states(choice.states, tokens) if states else None,
        seed=seed,
        temperature=temperature,
    )


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
    """The highest log-probability among the other tokens; above `entry.logprob` where the likeliest was not drawn.

    The generated token is known among the likeliest by its log-probability: not every server names the others.
    """
    others = [top.logprob for top in entry.top_logprobs or () if top.logprob is not None]
    if entry.logprob in others:
        others.remove(entry.logprob)
    return max(others, default=None)


def _states(reply: StatesReply | None, tokens: Sequence[TokenLogprob] | None) -> NDArray[np.float16]:
    if reply is None:
        raise ModelReplyError("The engine was asked for states and sent none.")
    rows, width = reply.shape
    raw = _unbase64(reply.data)
    if rows < 0 or width < 0 or len(raw) != rows * width * 2:
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
    asked for n > 1: see `atlas.llm.probe`. Raises ModelReplyError where a text is said to have cost nothing.
    """
    reported, counted = reply.usage.completion_tokens, reply.counted
    if counted is None and reported == 0:
        raise ModelReplyError("The model server reports 0 tokens for an answer, so that no token budget can be kept.")
    if counted is not None and reported > len(reply.choices) * max_tokens:
        reported = counted
    return Usage(prompt_tokens=reply.usage.prompt_tokens, completion_tokens=max(reported, counted or 0))


def embedding_payload(text: str, *, model: str, encoding: EmbeddingFormat) -> Mapping[str, Any]:
    """Body of POST /embeddings for one text."""
    return {"model": model, "input": text, "encoding_format": encoding}


def vector(reply: EmbeddingsReply) -> NDArray[np.float32]:
    """The one vector (d,) of a reply, sent as base64 of little-endian float32 or as numbers."""
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
