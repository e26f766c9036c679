"""The words of the domain as types. What crosses a process boundary is a frozen pydantic model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sandbox.types import AssertCheck, CallCheck, Check, Frozen, Language, Limits, Program, StdioCheck, Verdict

__all__ = [
    "AssertCheck", "Attempt", "Budget", "CallCheck", "Candidate", "Check", "Completion", "Language", "Limits",
    "Message", "Program", "Ranked", "Solution", "Status", "StdioCheck", "Task", "TokenLogprob", "Usage", "Verdict",
]


class Budget(Frozen):
    """What one task may cost. The loop stops at whichever is used up first."""

    rounds: int = Field(default=3, ge=1, le=32)
    candidates: int = Field(default=4, ge=1, le=64, description="Candidates asked for in each round.")
    seconds: float = Field(default=300.0, gt=0, le=86_400)
    tokens: int = Field(default=200_000, ge=1, description="Tokens in and out, all candidates together.")
    sandbox_runs: int = Field(default=8, ge=1, le=1_000)


class Task(Frozen):
    """What a user wants. Its checks are visible: the model may see them.

    Hidden checks are not a field of a task, so that no prompt can hold them: they travel beside it
    (`atlas.hidden.HiddenChecks`), and only the sandbox reads them.
    """

    id: str = Field(min_length=1, max_length=200)
    prompt: str = Field(min_length=1, max_length=100_000)
    language: Language = "python"
    entry_point: str | None = Field(default=None, max_length=200, pattern=r"^[A-Za-z_]\w*$")
    checks: tuple[Check, ...] = Field(default=(), max_length=1_000)
    limits: Limits = Limits()


class Message(Frozen):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token: its text as bytes, its natural-log probability at temperature 1 and the runner-up's."""

    token: bytes
    logprob: float
    second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that were paid for. Completion tokens count every choice, not one of them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """One answer of the model.

    `logprobs` is None where the server gives none. `states` holds the state of each generated token (n_tokens, d), two
    thirds up the model's layers, as float16 where the engine hands them out with the generation, else None.
    """

    text: str
    finish_reason: str
    logprobs: tuple[TokenLogprob, ...] | None = None
    states: NDArray[np.float16] | None = None
    seed: int | None = None
    temperature: float | None = None


def digest(program: Program) -> str:
    """SHA-256 of a program's source, which names it."""
    return hashlib.sha256(program.source.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One program of one completion. `span`: where its code lies in the completion's text, in characters."""

    index: int
    round: int
    program: Program
    completion: Completion
    span: tuple[int, int]
    copies: int = 1
    """How many completions of the round held this very program."""

    @property
    def digest(self) -> str:
        """SHA-256 of the source: equal programs are one candidate."""
        return digest(self.program)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """A candidate with its cost; lower is better.

    A candidate that could not be scored has cost None, says why in `problem`, and stands behind all that could.
    `p_pass` is the calibrated probability that it passes, where the ranker gives one.
    """

    candidate: Candidate
    cost: float | None
    p_pass: float | None = None
    problem: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """One run, or none, and what led to it. The one mutable record: filled left to right, so that a deadline keeps
    what was paid for.

    A round is one conversation with the model: `asked` lists how many completions each request of it was for. Its
    second candidate, run after the first has failed, is an attempt of the same round that asks for nothing.
    """

    round: int
    asked: list[int] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    candidates: Sequence[Candidate] = ()
    ranked: Sequence[Ranked] = ()
    verdict: Verdict | None = None
    usage: Usage = field(default_factory=Usage)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note the seconds that `stage` took, also where it was cut short."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - begun

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed

    @property
    def pick(self) -> Candidate | None:
        """The candidate that was run, or would have been: the cheapest."""
        return self.ranked[0].candidate if self.ranked else None


class Status(StrEnum):
    """What a task ends with."""

    VERIFIED = "verified"
    UNCHECKED = "unchecked"
    UNSOLVED = "unsolved"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """How a task ended, and the `reason` in a sentence.

    `program`: the verified or unchecked one, else the last that was run; where the loop was cut short from outside, the
    cheapest of the last attempt. A candidate that was not likely enough to be run is none of these.
    """

    task_id: str
    status: Status
    program: Program | None
    attempts: tuple[Attempt, ...]
    reason: str = ""

    @classmethod
    def of(
        cls, task: Task, attempts: Sequence[Attempt], *, status: Status | None = None, reason: str = ""
    ) -> Solution:
        """Read the end from the attempts; `status` overrides it where the loop was cut short from outside."""
        last = next((a for a in reversed(attempts) if a.pick is not None and (status or a.verdict)), None)
        passed = next((a for a in attempts if a.passed), None)
        if passed is not None:
            last, status = passed, Status.VERIFIED if _was_checked(task, passed) else Status.UNCHECKED
        pick = last.pick if last else None
        return cls(
            task_id=task.id,
            status=status or Status.UNSOLVED,
            program=pick.program if pick else None,
            attempts=tuple(attempts),
            reason=reason,
        )

    @property
    def usage(self) -> Usage:
        return sum((a.usage for a in self.attempts), Usage())

    @property
    def sandbox_runs(self) -> int:
        return sum(a.verdict is not None for a in self.attempts)


def _was_checked(task: Task, attempt: Attempt) -> bool:
    """Whether anything but loading was asked of the program: a check of the task's own, or one that is hidden.

    A program without checks gets a result as well, that of being loaded, so counting results would not tell.
    """
    return bool(task.checks) or any(result.hidden for result in (attempt.verdict.checks if attempt.verdict else ()))
