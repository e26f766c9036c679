"""A pool's recorded candidates as the parts of a solver: the loop itself, played again without model or sandbox.

A policy that is compared this way is compared on the code that serves. Whatever the loop asks, it is dealt the next
completions of the pool, so a later round is as good as a first one: what a failure that is shown to the model is worth,
only `atlas eval loop` can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from atlas.errors import ModelUnavailable
from atlas.features import SCALARS, scalars
from atlas.protocols import (
    Capabilities,
    Fingerprint,
    Generate,
    ModelTooLong,
    Move,
    Policy,
    Position,
    Ranker,
    Sampling,
)
from atlas.types import Candidate, Check, Completion, Limits, Message, Program, Ranked, Task, Usage, Verdict, digest
from sandbox.types import Outcome

RELATIVE = ("agreement", "shape_agreement", "same_shape", "copies")
"""Scalars that say how a candidate stands to its siblings: with fewer siblings they are others."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """One problem of a pool: k completions with the tokens of each, and by each program's digest what became of it.

    `passed`: every check. `shown`: the checks that a user would have given. `prompt_tokens` are those of one request.
    """

    task: Task
    completions: tuple[Completion, ...]
    tokens: tuple[int, ...]
    prompt_tokens: int
    passed: Mapping[str, bool]
    shown: Mapping[str, bool]
    ranker: Ranker


@dataclass(slots=True, kw_only=True)
class Dealer:
    """An `LLM` that deals a pool's completions in their order, whatever it is asked."""

    recorded: Recorded
    dealt: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            model="recorded", n=True, logprobs=False, embeddings=False, states=False, seeds=False
        )

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        """The next ones. Raises ModelUnavailable where there is none left."""
        hand = slice(self.dealt, self.dealt + sampling.n)
        if not self.recorded.completions[hand]:
            raise ModelUnavailable(f"the pool of {self.recorded.task.id} is used up")
        self.dealt = hand.stop
        paid = Usage(
            prompt_tokens=self.recorded.prompt_tokens, completion_tokens=sum(self.recorded.tokens[hand])
        )
        return self.recorded.completions[hand], paid

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        raise ModelUnavailable("a recorded pool embeds nothing")

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        raise ModelUnavailable("a recorded pool reads nothing")

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedSandbox:
    """A `Sandbox` that knows the verdicts already, by digest."""

    passed: Mapping[str, bool]
    isolation: str = "recorded"

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        outcome = Outcome.PASS if self.passed[digest(program)] else Outcome.FAIL
        return Verdict(outcome=outcome, isolation=self.isolation)

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A `Policy` that asks for no more than the `k` completions that a pool holds, and knows that it may not."""

    policy: Policy
    k: int

    @property
    def name(self) -> str:
        return self.policy.name

    def next(self, position: Position) -> Move:
        asked = sum(sum(attempt.asked) for attempt in position.attempts)
        move = self.policy.next(position)
        if not isinstance(move, Generate) or asked + move.n <= self.k:
            return move
        if asked < self.k:
            return replace(move, n=self.k - asked)
        last = position.attempts[-1]
        spent = position.budget.model_copy(update={"rounds": last.round + 1, "candidates": sum(last.asked) or 1})
        return self.policy.next(replace(position, budget=spent))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetFingerprints:
    """A `Fingerprinter` for any of a pool's candidates: what was recorded, but `RELATIVE` scalars as of now."""

    id: str
    scalar_names: tuple[str, ...]
    known: Mapping[str, Fingerprint]

    async def fingerprints(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Fingerprint]:
        fresh = scalars(task, candidates)
        columns = [(self.scalar_names.index(n), SCALARS.index(n)) for n in RELATIVE if n in self.scalar_names]
        made = []
        for candidate, row in zip(candidates, fresh, strict=True):
            one = self.known[candidate.digest]
            values = one.scalars.copy()
            for recorded, now in columns:
                values[recorded] = row[now]
            made.append(replace(one, scalars=values))
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembering:
    """A `Ranker` that ranks the same candidates once: many policies begin with the same ones."""

    ranker: Ranker
    kept: dict[tuple[tuple[str, int], ...], dict[str, Ranked]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.ranker.name

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
        key = tuple((candidate.digest, candidate.copies) for candidate in candidates)
        if key not in self.kept:
            self.kept[key] = {r.candidate.digest: r for r in await self.ranker.rank(task, candidates)}
        now = {candidate.digest: candidate for candidate in candidates}
        return [replace(ranked, candidate=now[digest]) for digest, ranked in self.kept[key].items()]
