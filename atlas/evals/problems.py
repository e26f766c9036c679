"""Problems: tasks together with what judges them. Hidden checks live here and nowhere in `Task`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from atlas.types import Check, Limits, Program, Task

WALL_PER_CPU = 4.0
REFERENCE_FACTOR = 4.0
"""A program may take this many times what the reference takes on this machine; EvalPlus's factor."""
MOST_CPU_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call whose expected value nobody wrote down: the reference solution says it, run in the sandbox.

    `compare` is how a candidate's value is held against it. "truth" means that both are true or both are not. "root"
    needs no value: a right answer is any root, within `abs_tol`, of the polynomial whose coefficients, constant first,
    are the call's only argument.
    """

    call: str
    compare: Literal["equal", "unordered", "close", "truth", "root"] = "equal"
    rel_tol: float = 1e-9
    abs_tol: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plus:
    """More inputs for a problem, and the solution that says what comes out (`atlas.evals.references` runs it).

    `contract` holds statements for the start of the function's body that say which arguments it takes.
    """

    calls: tuple[OpenCall, ...]
    reference: Program
    entry_point: str
    contract: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a data set.

    `task` is what the model may see, `hidden` what only the sandbox reads, `plus` the hidden checks that still lack
    their expected values.
    `near_duplicate_group` names the family of problems that must stay on one side of a split; it is the problem's own
    id until `atlas.evals.duplicates.grouped` has looked at everything that is loaded together.
    `harness` is what a program stands between when it is judged (imports that the data set promises, a driver that
    prints what a function returns); `frame` is what a bare completion in a file of samples stands between.
    `expected` is a program that prints what a right program prints, where only its language can say that.
    `reference_cpu_s` is the CPU time of the reference's slowest check on this machine, 0 until it was run; `note` says
    what running it could not use.
    """

    task: Task
    hidden: tuple[Check, ...]
    dataset: str
    reference: Program | None = None
    plus: Plus | None = None
    near_duplicate_group: str = ""
    harness: tuple[str, str] = ("", "")
    frame: tuple[str, str] = ("", "")
    expected: Program | None = None
    reference_cpu_s: float = 0.0
    note: str = ""

    @property
    def id(self) -> str:
        return self.task.id

    @property
    def group(self) -> str:
        return self.near_duplicate_group or self.task.id

    @property
    def limits(self) -> Limits:
        """The task's limits, wider where the reference is slow on this machine, with room on the wall clock.

        CPU time, which a busy machine does not spend, is what decides of programs that are too slow.
        """
        limits = self.task.limits
        cpu_s = min(max(limits.cpu_s, REFERENCE_FACTOR * self.reference_cpu_s), MOST_CPU_S)
        return limits.model_copy(
            update={"cpu_s": cpu_s, "wall_s": min(max(limits.wall_s, WALL_PER_CPU * cpu_s), MOST_CPU_S)}
        )

    @property
    def checks(self) -> tuple[Check, ...]:
        """Everything that judges a candidate: the visible checks first, then the hidden ones."""
        return self.task.checks + self.hidden

    def runnable(self, program: Program) -> Program:
        """The program as the sandbox gets it: within the harness."""
        before, after = self.harness
        return program.model_copy(update={"source": f"{before}{program.source}{after}"})

    def completed(self, completion: str) -> Program:
        """The program that a bare completion makes."""
        before, after = self.frame
        return Program(source=f"{before}{completion}{after}", language=self.task.language)

    def digest(self) -> str:
        """SHA-256 of what decides a verdict: checks, plus inputs, harness and limits. Equal digests give equal labels.

        What was measured here is not in it: on another machine the same labels must count.
        """
        sha = hashlib.sha256()
        for check in self.checks:
            sha.update(check.model_dump_json().encode() + b"\0")
        sha.update(repr(self.plus).encode() + b"\0")
        sha.update(self.task.limits.model_dump_json().encode())
        if any(self.harness) or self.expected:
            sha.update(repr((self.harness, self.expected)).encode())
        return sha.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A problem of the file that cannot be used, by name and with the reason."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a loader found in a file. `sha256` is that of the file's content after decompression."""

    name: str
    problems: tuple[Problem, ...]
    excluded: tuple[Excluded, ...]
    sha256: str


def select(problems: Sequence[Problem], *, limit: int | None = None, ids: Sequence[str] = ()) -> tuple[Problem, ...]:
    """The first `limit` problems, or those named by `ids`, in the data set's own order.

    Raises ValueError for an id that is not there.
    """
    chosen = tuple(problems)
    if ids:
        wanted = set(ids)
        if missing := wanted - {p.id for p in chosen}:
            raise ValueError(f"no such problem: {', '.join(sorted(missing))}")
        chosen = tuple(p for p in chosen if p.id in wanted)
    return chosen if limit is None else chosen[:limit]
