"""The seams, on one screen. Imports neither torch nor httpx nor docker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from atlas.types import Attempt, Budget, Candidate, Completion, Message, Ranked, Task, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model server was found to do, by asking it once at start.

    `n`: several choices of one prompt in one request, each different and each billed so that it can be counted.
    `seeds`: it takes a seed; whether equal seeds give equal text is the server's affair (batching moves the last bits).
    `states`: it can send the state of every generated token, two thirds up the model's layers. The rest is what the
    embedded engine says of itself, None elsewhere: the SHA-256 of its model file, its name and version, and the tokens
    of a text it can embed.
    """

    model: str
    n: bool
    logprobs: bool
    embeddings: bool
    states: bool
    seeds: bool
    model_sha256: str | None = None
    max_embed_tokens: int | None = None
    engine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample. `seed` is the first choice's; choice i gets seed + i where the server takes one per request.

    With `greedy_first` the first of the `n` is drawn at temperature 0: the likeliest token each time.
    """

    n: int
    temperature: float
    seed: int
    max_tokens: int
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    greedy_first: bool = False

    def temperature_of(self, choice: int) -> float:
        """The temperature at which choice 0 .. n - 1 is drawn."""
        return 0.0 if self.greedy_first and choice == 0 else self.temperature


@runtime_checkable
class LLM(Protocol):
    """Asks a language model for completions and for embeddings of text."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        """`sampling.n` completions of one prompt; fewer only where some were cut off by the server.

        Raises ModelUnavailable, ModelReplyError. Cancelling it cancels the work on the server.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        """One vector (d,) per text, or `ModelTooLong` for a text that does not fit: never a clipped one.

        Raises ConfigError where the server has no embeddings, ModelUnavailable, ModelReplyError.
        """
        ...

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        """What the model makes of a `text` that is already there as its answer: log-probabilities and states.

        Only where `capabilities.states`; else raises ConfigError. Raises ModelUnavailable, ModelReplyError.
        """
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTooLong:
    """A text that the model cannot take whole. A value, because it is one candidate's misfortune."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fingerprint:
    """What stands for a candidate: `embedding` (d,) float32, maybe of length 0, and named scalar features.

    A scalar that this server cannot give (no log-probabilities, say) is NaN: missing, not zero.
    `problem` is set instead where no fingerprint could be made of this candidate.
    """

    embedding: NDArray[np.float32]
    scalars: NDArray[np.float32]
    problem: str = ""


@runtime_checkable
class Fingerprinter(Protocol):
    """Makes fingerprints. `id` names everything that shapes them and travels with data and artifacts."""

    @property
    def id(self) -> str: ...

    @property
    def scalar_names(self) -> tuple[str, ...]: ...

    async def fingerprints(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Fingerprint]: ...


@runtime_checkable
class Ranker(Protocol):
    """Orders the candidates of one attempt, cheapest first. Returns every candidate it was given, once."""

    @property
    def name(self) -> str: ...

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the loop stands. `checked`: a run tells right from wrong; without any check, it tells whether it loads."""

    attempts: Sequence[Attempt]
    budget: Budget
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Ask for `n` more completions in `round_`: that of the last attempt while it has no verdict, or the next one."""

    n: int
    round_: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run the first of `ranked`; the others are what it was preferred to. None of them has been run before."""

    ranked: Sequence[Ranked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Nothing more is worth doing, or may be done; `reason` says which, in a sentence for the user."""

    reason: str


Move = Generate | Run | Stop


@runtime_checkable
class Policy(Protocol):
    """Decides what the loop does next. Pure: the same position gets the same move. Begins nothing beyond the budget."""

    @property
    def name(self) -> str: ...

    def next(self, position: Position) -> Move: ...
