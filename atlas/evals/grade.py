"""Stage 3: every candidate is run against every check, visible and hidden. What became of it is its grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread
import pyarrow as pa

from atlas.evals.parts import read_rows, write_rows
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from atlas.types import Candidate, Check, Limits, Program
from sandbox.errors import SandboxUnavailable
from sandbox.types import Outcome, Sandbox, Verdict

TRIES = 3
PAUSE_S = 2.0
"""Seconds before the second try; each further pause is twice as long."""
MESSAGE_CHARS = 300
SCHEMA = pa.schema(
    [
        ("digest", pa.string()), ("outcome", pa.string()), ("integrity", pa.string()), ("isolation", pa.string()),
        ("failed", pa.int32()), ("message", pa.string()), ("wall_s", pa.float64()), ("cpu_s", pa.float64()),
        ("slowest_cpu_s", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The verdict on one candidate. `failed` is the position of the check that did not pass, None where all passed.

    `slowest_cpu_s` is the CPU time of its slowest check, which is what the limit is held against.
    """

    digest: str
    outcome: Outcome
    integrity: str
    isolation: str
    failed: int | None
    message: str
    wall_s: float
    cpu_s: float
    slowest_cpu_s: float

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS


class SandboxFailed(Exception):
    """The sandbox gave no verdict on a program, however often it was asked. Never a grade."""


async def judge(
    sandbox: Sandbox, program: Program, checks: Sequence[Check], limits: Limits, *, pause_s: float = PAUSE_S
) -> Verdict:
    """A verdict on the program, with infrastructure that fails retried.

    Raises SandboxFailed after `TRIES` tries, InvalidCheck where a check cannot be read.
    """
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            await anyio.sleep(pause_s * 2 ** (attempt - 1))
        try:
            verdict = await sandbox.run(program, checks, limits)
        except SandboxUnavailable as error:
            reason = str(error)
            continue
        if verdict.outcome is not Outcome.SANDBOX_ERROR:
            return verdict
        reason = verdict.message
    raise SandboxFailed(f"no verdict after {TRIES} tries: {reason or 'the sandbox gave no reason'}")


async def grade(
    run: Run, problem: Problem, candidates: Sequence[Candidate], sandbox: Sandbox, *, pause_s: float = PAUSE_S
) -> int:
    """Grade the candidates that have no grade yet; returns how many those were. All are written, or none.

    Grades of other checks than the problem's are thrown away first. Raises SandboxFailed, InvalidCheck.
    """
    known = read_grades(run, problem)
    missing = [candidate for candidate in candidates if candidate.digest not in known]
    if not missing:
        return 0
    grades = dict(known)
    try:
        for candidate in missing:
            program = problem.runnable(candidate.program)
            verdict = await judge(sandbox, program, problem.checks, problem.limits, pause_s=pause_s)
            grades[candidate.digest] = _grade(candidate.digest, verdict)
    finally:
        # A sandbox that dies half-way does not take the verdicts with it that it had already given.
        with anyio.CancelScope(shield=True):
            if len(grades) > len(known):
                await anyio.to_thread.run_sync(_write, run, problem, grades)
    return len(missing)


def read_grades(run: Run, problem: Problem) -> dict[str, Grade]:
    """Grades by candidate's digest; none where they were given by other checks than the problem's."""
    rows, about = read_rows(run.path("grades", problem))
    if about.get("problem_digest") != problem.digest():
        return {}
    return {row["digest"]: Grade(**{**row, "outcome": Outcome(row["outcome"])}) for row in rows}


def _grade(digest: str, verdict: Verdict) -> Grade:
    failed = next((r for r in verdict.checks if r.outcome is not Outcome.PASS), None)
    message = (failed.message if failed else "") or verdict.message
    return Grade(
        digest=digest, outcome=verdict.outcome, integrity=verdict.integrity, isolation=verdict.isolation,
        failed=None if failed is None else failed.index, message=message[:MESSAGE_CHARS],
        wall_s=verdict.wall_s, cpu_s=verdict.cpu_s,
        slowest_cpu_s=max((result.cpu_s for result in verdict.checks), default=verdict.cpu_s),
    )


def _write(run: Run, problem: Problem, grades: Mapping[str, Grade]) -> None:
    rows = [
        {name: getattr(one, name) for name in SCHEMA.names} | {"outcome": one.outcome.value} for one in grades.values()
    ]
    about = {"problem": problem.id, "problem_digest": problem.digest()}
    write_rows(run.path("grades", problem), rows, SCHEMA, about=about)
