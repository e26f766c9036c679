"""Grading samples from elsewhere: every different program is judged once, and what is counted is every sample.

With a book of verdicts (`atlas.evals.book`) a grading that was killed goes on, and one that is done judges nothing
again.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import anyio

from atlas.evals.book import Book, Judged
from atlas.evals.grade import MESSAGE_CHARS, SandboxFailed, judge
from atlas.evals.measures import Interval, share
from atlas.evals.metrics import pass_at_k
from atlas.evals.problems import Excluded, Problem
from atlas.evals.progress import Progress
from atlas.evals.references import References
from atlas.evals.results import NEAR
from atlas.evals.samples import Sample, Samples, published_id
from atlas.evals.stages import IN_A_ROW, RunStopped, one_error
from sandbox.errors import InvalidCheck
from sandbox.types import Frozen, Limits, Outcome, Verdict

T = TypeVar("T")
KS = (1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100)


class Tally(Frozen):
    """What became of one problem's samples. Samples that infrastructure left without a verdict are not in `n`."""

    n: int
    passed: int
    near_limit: int
    outcomes: dict[str, int]


class Graded(Frozen):
    """What a file of samples came to. Means are over the problems that have a graded sample; `missing` has none."""

    schema_version: Literal[1] = 1
    samples: int
    programs: int
    """Different programs: so many were judged, or found in the book."""
    judged: int
    problems: dict[str, Tally]
    pass_at_1: Interval | None
    pass_at_k: dict[str, Interval]
    """Unbiased, for every k that each problem has samples enough for."""
    outcomes: dict[str, int]
    near_limit: int
    """Samples that passed with a check that took more than half of its CPU limit."""
    weak: int
    infrastructure: dict[str, str]
    """Samples without a verdict, by line, with what the sandbox said. They are in no other figure."""
    excluded: dict[str, str]
    notes: dict[str, str]
    missing: tuple[str, ...]
    unknown: dict[str, int]
    isolation: tuple[str, ...]
    samples_sha256: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class Grading:
    """Grades samples over `references` and its sandbox, `workers` programs at a time."""

    references: References
    workers: int = 2
    book: Book = field(default_factory=Book)
    progress: Progress = field(default_factory=lambda: Progress(total=0))
    settled: dict[str, Problem] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    infrastructure: dict[int, str] = field(default_factory=dict)
    judged: int = 0
    in_a_row: int = 0

    async def run(self, found: Samples, problems: Sequence[Problem]) -> Graded:
        """Grade every sample. Raises RunStopped where the sandbox failed several programs in a row, ConfigError."""
        begun, by_problem = time.monotonic(), found.by_problem()
        wanted = [problem for problem in problems if problem.id in by_problem]
        self.progress.what, self.progress.total = "references", len(wanted)
        await _spread(wanted, self.workers, self._settle)
        groups = [
            group for id_, problem in self.settled.items() for group in _equal_programs(problem, by_problem[id_])
        ]
        self.progress.what, self.progress.total, self.progress.done = "programs", len(groups), 0
        await _spread(groups, self.workers, self._judge)
        return self._graded(found, problems, len(groups), time.monotonic() - begun)

    async def _settle(self, problem: Problem) -> None:
        try:
            settled = await self.references.settle(problem)
        except SandboxFailed as error:
            raise RunStopped(f"the reference of {problem.id} could not be run: {error}") from error
        if isinstance(settled, Excluded):
            self.excluded[problem.id] = settled.reason
        else:
            self.settled[problem.id] = settled
        self.progress.done += 1

    async def _judge(self, group: Sequence[Sample]) -> None:
        problem = self.settled[group[0].problem.id]
        key = (_digest(problem, group[0]), problem.digest(), self.references.sandbox.isolation)
        judged = self.book.known.get(key)
        if judged is None:
            try:
                judged = await self._verdict(problem, group[0])
            except InvalidCheck as error:
                self.excluded[problem.id] = f"a check cannot be read: {error}"
                return
            except SandboxFailed as error:
                self._failed(group, error)
                return
            self.judged += 1
        self.in_a_row = 0
        self.progress.done += 1
        self.progress.candidates += 1
        self.progress.passed += judged.passed
        self.progress.saved += len(group) - 1
        self.book.add(judged.model_copy(update={"line": sample.line}) for sample in group)

    async def _verdict(self, problem: Problem, sample: Sample) -> Judged:
        sandbox, limits = self.references.sandbox, problem.limits
        verdict = await judge(
            sandbox, problem.runnable(sample.program), problem.checks, limits, pause_s=self.references.pause_s
        )
        failed = next((result for result in verdict.checks if result.outcome is not Outcome.PASS), None)
        return Judged(
            line=sample.line, task_id=published_id(problem.id), program=_digest(problem, sample),
            checks=problem.digest(), outcome=verdict.outcome, passed=verdict.passed,
            near_limit=_near_limit(verdict, limits), integrity=verdict.integrity, isolation=verdict.isolation,
            message=((failed.message if failed else "") or verdict.message)[:MESSAGE_CHARS],
            cpu_s=verdict.cpu_s, wall_s=verdict.wall_s,
        )

    def _failed(self, group: Sequence[Sample], error: SandboxFailed) -> None:
        self.infrastructure |= {sample.line: str(error) for sample in group}
        self.progress.troubles += 1
        self.in_a_row += 1
        if self.in_a_row >= IN_A_ROW:
            raise RunStopped(
                f"{IN_A_ROW} programs in a row got no verdict, the last because of this: {error}"
            ) from error

    def _graded(self, found: Samples, problems: Sequence[Problem], programs: int, seconds: float) -> Graded:
        tallies, counted = {}, []
        for id_, samples in found.by_problem().items():
            rows = [self.book.lines[s.line] for s in samples if id_ not in self.excluded and self._has(s)]
            if rows:
                tallies[id_] = _tally(rows)
                counted += rows
        n, passed = [one.n for one in tallies.values()], [one.passed for one in tallies.values()]
        shares = {str(k): share(pass_at_k(n, passed, k)) for k in KS if n and k <= min(n)}
        return Graded(
            samples=len(found.samples), programs=programs, judged=self.judged, problems=tallies,
            pass_at_1=shares.get("1"), pass_at_k=shares,
            outcomes=dict(sorted(Counter(row.outcome.value for row in counted).items())),
            near_limit=sum(row.near_limit for row in counted), weak=sum(row.integrity == "weak" for row in counted),
            infrastructure={str(line): why for line, why in sorted(self.infrastructure.items())},
            excluded=self.excluded, notes={p.id: p.note for p in self.settled.values() if p.note},
            missing=tuple(p.id for p in problems if p.id not in tallies and p.id not in self.excluded),
            unknown=found.unknown, isolation=tuple(sorted({row.isolation for row in counted})),
            samples_sha256=found.sha256, seconds=round(seconds, 3),
        )

    def _has(self, sample: Sample) -> bool:
        return sample.line in self.book.lines and sample.line not in self.infrastructure


def _equal_programs(problem: Problem, samples: Iterable[Sample]) -> list[list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(_digest(problem, sample), []).append(sample)
    return list(groups.values())


def _digest(problem: Problem, sample: Sample) -> str:
    return hashlib.sha256(f"{problem.id}\0{sample.program.source}".encode()).hexdigest()


def _near_limit(verdict: Verdict, limits: Limits) -> bool:
    return verdict.passed and any(result.cpu_s > NEAR * limits.cpu_s for result in verdict.checks)


def _tally(rows: Sequence[Judged]) -> Tally:
    return Tally(
        n=len(rows), passed=sum(row.passed for row in rows), near_limit=sum(row.near_limit for row in rows),
        outcomes=dict(sorted(Counter(row.outcome.value for row in rows).items())),
    )


async def _spread(jobs: Sequence[T], workers: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Do all jobs, so many at a time."""
    left = iter(jobs)

    async def worker() -> None:
        for job in left:
            await work(job)

    async with one_error(), anyio.create_task_group() as tasks:
        for _ in range(workers):
            tasks.start_soon(worker)


def summary(found: Graded) -> str:
    """The headline as text."""
    rows = [
        f"pass@{k} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}], n = {one.n}" for k, one in found.pass_at_k.items()
    ]
    verdicts = ", ".join(f"{name} {count}" for name, count in found.outcomes.items()) or "none"
    rows.append(
        f"{found.samples} samples, {found.programs} different programs, of {len(found.problems)} problems; verdicts: "
        f"{verdicts} ({', '.join(found.isolation) or 'nothing ran'}); {found.near_limit} near their limit of time"
    )
    if found.weak:
        rows.append(f"{found.weak} were judged in one process with their checks, where they could have cheated")
    rows += [f"without a verdict: line {line}: {why}" for line, why in found.infrastructure.items()]
    rows += [f"excluded: {id_}: {why}" for id_, why in found.excluded.items()]
    rows += [f"in part: {id_}: {why}" for id_, why in found.notes.items()]
    if found.missing:
        rows.append(f"{len(found.missing)} problems have no sample and are in no figure, such as {found.missing[0]}")
    if found.unknown:
        rows.append(f"{sum(found.unknown.values())} lines are of other tasks, such as {min(found.unknown)}")
    return "\n".join(rows)
