"""The one client for every model server that speaks OpenAI's API, the embedded engine included."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Self

import anyio
import httpx
import numpy as np
from numpy.typing import NDArray

from atlas.errors import ConfigError, ModelError, ModelReplyError
from atlas.llm import wire
from atlas.llm.endpoint import Endpoint, Refused, Timeouts
from atlas.llm.probe import probe
from atlas.llm.retry import RetryPolicy
from atlas.protocols import Capabilities, ModelTooLong, Sampling
from atlas.types import Completion, Message, Usage

log = logging.getLogger(__name__)

_CHAT = "chat/completions"
_Batch = tuple[list[Completion], Usage]


class OpenAIClient:
    """An `atlas.protocols.LLM` over HTTP. Made by `open`, which asks the server what it can do.

    Where the server honours `n`, choices are asked for together, so that they share one reading of the prompt; where it
    does not, or where its bill for n choices could not be trusted, one request each is sent with seed + i.
    """

    def __init__(self, endpoint: Endpoint, capabilities: Capabilities, dialect: wire.Dialect, *, states: bool) -> None:
        self._endpoint = endpoint
        self._capabilities = capabilities
        self._dialect = dialect
        self._states = states
        self._largest_n: int | None = None

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
        states: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Self:
        """Connect to `base_url` and find out what it can do with `model` (default: the first it lists).

        `concurrency`: requests in flight at once. `states`: have the embedded engine send every token's state along.
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
            capabilities, dialect = await probe(endpoint, model)
            if states and not capabilities.states:
                raise ConfigError(
                    f"The server at {endpoint.url} does not send the model's states; only the embedded engine does. "
                    "Leave ATLAS_LLM__BASE_URL unset to use it."
                )
        except BaseException:
            with anyio.CancelScope(shield=True):
                await endpoint.aclose()
            raise
        return cls(endpoint, capabilities, dialect, states=states)

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

        Fewer where some of several requests failed: what was paid for is kept. Raises ModelUnavailable or
        ModelReplyError where none succeeded. Cancelling closes the connections, so that the server stops.
        """
        done, usage, start = [], Usage(), 0
        if self._capabilities.n and sampling.n > (self._largest_n or 1):
            done, usage = await self._largest(messages, sampling)
            start = len(done) if self._largest_n is None else self._largest_n
        size = self._largest_n or 1 if self._capabilities.n else 1
        ...
        return done, usage
