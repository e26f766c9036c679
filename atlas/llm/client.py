"""The one client for every model server that speaks OpenAI's API, the embedded engine included."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import anyio
import httpx
import numpy as np
from numpy.typing import NDArray

from atlas.errors import ConfigError, ModelError, ModelReplyError
from atlas.llm import replies, wire
from atlas.llm.endpoint import Endpoint, Refused, Timeouts
from atlas.llm.probe import probe
from atlas.llm.retry import RetryPolicy
from atlas.protocols import Capabilities, ModelTooLong, Sampling
from atlas.types import Completion, Message, Usage

log = logging.getLogger(__name__)

_Batch = tuple[list[Completion], Usage]


class OpenAIClient:
    """An `atlas.protocols.LLM` over HTTP. Made by `open`, which asks the server what it can do.

    Where the server honours `n`, choices are asked for together, so that they share one reading of the prompt; where it
    does not, or where its bill for n choices could not be trusted, one request each is sent with seed + i.
    """

    def __init__(
        self, endpoint: Endpoint, capabilities: Capabilities, encoding: wire.EmbeddingFormat, *, states: bool
    ) -> None:
        self._endpoint = endpoint
        self._capabilities = capabilities
        self._encoding = encoding
        self._states = states
        self._most = sys.maxsize if capabilities.n else 1

    @classmethod
    async def open(
        cls,
        base_url: str,
        api_key: str | None = None,
        *,
        model: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        concurrency: int = 8,
        states: bool | None = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Self:
        """Connect to `base_url` and find out what it can do with `model` (default: the first it lists).

        `concurrency`: requests in flight at once. `states`: have the embedded engine send every token's state along;
        None takes them where the server has them.
        Raises ConfigError (no such model, wrong key or address, no states there), ModelUnavailable, ModelReplyError.
        """
        endpoint = Endpoint(
            base_url,
            api_key,
            timeouts=timeouts or Timeouts(),
            retry=retry or RetryPolicy(),
            concurrency=concurrency,
            transport=transport,
        )
        try:
            capabilities, encoding = await probe(endpoint, model)
            if states and not capabilities.states:
                raise ConfigError(
                    f"The server at {endpoint.url} does not send the model's states; only the embedded engine does. "
                    "Leave ATLAS_LLM__BASE_URL unset to use it."
                )
        except BaseException:
            with anyio.CancelScope(shield=True):
                await endpoint.aclose()
            raise
        return cls(endpoint, capabilities, encoding, states=capabilities.states if states is None else states)

    def __repr__(self) -> str:
        return f"OpenAIClient({self._endpoint.url!r}, model={self._capabilities.model!r})"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Calls that still run fail."""
        await self._endpoint.aclose()

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        """`sampling.n` completions of one prompt, in the order of their seeds, and what they cost together.

        Fewer where the server sent fewer, or where some of several requests failed: what was paid for is kept. Raises
        ModelUnavailable or ModelReplyError where none succeeded. Cancelling closes the connections, which stops the
        server's work.
        """
        if sampling.greedy_first and self._capabilities.engine is None:
            return await self._greedy_and_others(messages, sampling)
        batches: list[_Batch] = []
        size = min(sampling.n, self._most)
        if size == sampling.n:
            batch, size = await self._together(messages, sampling)
            batches.append(batch)
        rest, errors = await self._apart(messages, sampling, range(size * len(batches), sampling.n, size))
        batches += rest
        if not batches:
            raise errors[0]
        if errors:
            log.warning("%d of the requests for %d choices failed: %s", len(errors), sampling.n, errors[0])
        made = [completion for completions, _ in batches for completion in completions]
        return made, sum((usage for _, usage in batches), Usage())

    async def _greedy_and_others(
        self, messages: Sequence[Message], sampling: Sampling
    ) -> tuple[Sequence[Completion], Usage]:
        """The first choice and the others in requests side by side: elsewhere a request has one temperature."""
        first = replace(sampling, n=1, temperature=0.0, greedy_first=False)
        others = replace(sampling, n=sampling.n - 1, seed=sampling.seed + 1, greedy_first=False)
        made: dict[int, tuple[Sequence[Completion], Usage]] = {}
        errors: list[ModelError] = []

        async def ask(place: int, part: Sampling) -> None:
            try:
                made[place] = await self.sample(messages, part)
            except ModelError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for place, part in enumerate((first, others)):
                if part.n:
                    tasks.start_soon(ask, place, part)
        if not made:
            raise errors[0]
        if errors:
            log.warning("some of the requests for %d choices failed: %s", sampling.n, errors[0])
        parts = [made[place] for place in sorted(made)]
        return [one for completions, _ in parts for one in completions], sum((usage for _, usage in parts), Usage())

    async def _together(self, messages: Sequence[Message], sampling: Sampling) -> tuple[_Batch, int]:
        """Ask for all choices at once; where that is too many (llama.cpp: more than it has slots), for half, and so on.

        The number that was taken is remembered. Where even one is refused, n was not the reason, and Refused is raised.
        """
        size = sampling.n
        while True:
            try:
                batch = await self._ask(messages, sampling, start=0, n=size)
            except Refused as refusal:
                if size == 1 or refusal.status not in (400, 422):
                    raise
                size = (size + 1) // 2
            else:
                if size < sampling.n:
                    self._most = size
                return batch, size

    async def _apart(
        self, messages: Sequence[Message], sampling: Sampling, starts: range
    ) -> tuple[list[_Batch], list[ModelError]]:
        """One request for the choices from each of `starts` to the next, side by side."""
        batches: dict[int, _Batch] = {}
        errors: list[ModelError] = []

        async def ask(start: int) -> None:
            try:
                n = min(starts.step, sampling.n - start)
                batches[start] = await self._ask(messages, sampling, start=start, n=n)
            except ModelError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for start in starts:
                tasks.start_soon(ask, start)
        return [batches[start] for start in sorted(batches)], errors

    async def _ask(self, messages: Sequence[Message], sampling: Sampling, *, start: int, n: int) -> _Batch:
        payload = wire.chat_payload(
            messages, sampling, capabilities=self._capabilities, start=start, n=n, states=self._states
        )
        reply = await self._endpoint.post("chat/completions", payload, replies.ChatReply)
        made = wire.completions(reply, sampling, start=start, seed=payload.get("seed"), states=self._states)
        return made[:n], wire.usage(reply, max_tokens=sampling.max_tokens)

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        """One vector (d,) per text, or `ModelTooLong` for a text that does not fit.

        Each text travels alone, so that one that is too long spoils only itself. Raises ConfigError where the server
        has no embeddings, ModelUnavailable, ModelReplyError.
        """
        if not self._capabilities.embeddings:
            raise ConfigError(
                f"The server at {self._endpoint.url} gives no embeddings. Leave ATLAS_LLM__BASE_URL unset to use the "
                "embedded model, or start the server with embeddings (llama.cpp: --embeddings --pooling mean)."
            )
        vectors: dict[int, NDArray[np.float32] | ModelTooLong] = {}
        errors: list[ModelError] = []

        async def embed(index: int) -> None:
            try:
                vectors[index] = await self._embed(texts[index])
            except ModelError as error:
                errors.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for index in range(len(texts)):
                tasks.start_soon(embed, index)
        if errors:
            raise errors[0]
        if len({v.shape for v in vectors.values() if isinstance(v, np.ndarray)}) > 1:
            raise ModelReplyError(f"{self._endpoint.url} sent embeddings of different lengths.")
        return tuple(vectors[index] for index in range(len(texts)))

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        """`text` as the model's own answer to `messages`: its tokens' log-probabilities and states, nothing generated.

        Raises ConfigError where the server has no states to give, ModelUnavailable, ModelReplyError.
        """
        if not self._capabilities.states:
            raise ConfigError(
                f"The server at {self._endpoint.url} cannot read a given answer; only the embedded engine can. "
                "Leave ATLAS_LLM__BASE_URL unset to use it."
            )
        try:
            reply = await self._endpoint.post("atlas/read", wire.read_payload(messages, text), replies.ChoiceReply)
        except Refused as refusal:
            return _too_long(refusal)
        return wire.completion(reply, seed=None, temperature=None, states=True)

    async def _embed(self, text: str) -> NDArray[np.float32] | ModelTooLong:
        payload = wire.embedding_payload(text, model=self._capabilities.model, encoding=self._encoding)
        try:
            reply = await self._endpoint.post("embeddings", payload, replies.EmbeddingsReply)
        except Refused as refusal:
            return _too_long(refusal)
        read, words = (reply.usage.prompt_tokens if reply.usage else None) or 0, len(text.split())
        if 0 < read < words:
            # No tokeniser joins words across blanks: fewer tokens than words means that the server clipped the text.
            return ModelTooLong(message=f"The server read only {read} tokens of a text of {words} words.")
        return wire.vector(reply)


def _too_long(refusal: Refused) -> ModelTooLong:
    """The value for a text that does not fit. Any other refusal is raised again."""
    if not replies.says_too_long(refusal.says):
        raise refusal
    return ModelTooLong(message=f"The text is too long for the model: {refusal.says}")
