"""What came of the loop on each problem, a file for each, and what that adds up to.

    loops/<setup>/setup.json              who chose, what was asked, what it could cost
    loops/<setup>/problems/<problem>.json
    loops/<setup>/results.json
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError

from atlas.errors import ConfigError
from atlas.evals.measures import Interval, mean, share
from atlas.evals.problems import Problem
from atlas.evals.run import Run, file_name
from atlas.types import Budget, Solution, Status
from costfield.shards import replace_file
from sandbox.types import Frozen

LOOPS, SETUP, RESULTS = "loops", "setup.json", "results.json"
HEADLINE = {
    "problems", "solved", "handed_out_wrong", "rounds", "sandbox_runs_per_solved", "tokens_per_solved",
    "seconds_per_solved", "replayed",
}


class LoopSetup(Frozen):
    """All that decides how the loop works on a problem, beside the run's own configuration."""

    schema_version: Literal[1] = 1
    policy: str
    policy_settings: dict[str, Any]
    ranker: str
    cost_field: str = ""
    fingerprint_id: str
    budget: Budget
    isolation: str
    seed: int

    @property
    def name(self) -> str:
        """The policy's name, and eight digits of SHA-256 that another setup does not share."""
        return f"{self.policy}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]}"

    def folder(self, run: Run) -> Path:
        return run.folder / LOOPS / self.name


class Looped(Frozen):
    """One problem. `solved`: a program was handed out, and it passes every check, hidden ones too.

    `checks` is the SHA-256 of those, `replayed` how many of the completions were the pool's own. Seconds are those of
    the loop by stage; what was replayed took none.
    """

    problem: str
    checks: str
    status: Status
    reason: str
    solved: bool
    program: str | None
    rounds: int
    attempts: int
    completions: int
    replayed: int
    sandbox_runs: int
    prompt_tokens: int
    completion_tokens: int
    seconds: dict[str, float]

    @classmethod
    def of(cls, problem: Problem, solution: Solution, *, solved: bool, replayed: int) -> Self:
        attempts = solution.attempts
        stages = {stage for attempt in attempts for stage in attempt.seconds}
        return cls(
            problem=problem.id, checks=problem.digest(), status=solution.status, reason=solution.reason, solved=solved,
            program=solution.program.source if solution.program else None, attempts=len(attempts),
            rounds=len({attempt.round for attempt in attempts}), replayed=replayed,
            completions=sum(sum(attempt.asked) for attempt in attempts), sandbox_runs=solution.sandbox_runs,
            prompt_tokens=solution.usage.prompt_tokens, completion_tokens=solution.usage.completion_tokens,
            seconds={stage: sum(a.seconds.get(stage, 0.0) for a in attempts) for stage in sorted(stages)},
        )

    @classmethod
    def read(cls, path: Path, problem: Problem) -> Self | None:
        """What is there; None where nothing is, or it was judged by other checks. Raises ConfigError."""
        try:
            found = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ConfigError(f"{path} cannot be read: {error.errors()[0]['msg']}; delete it") from error
        return found if found.checks == problem.digest() else None

    def write(self, folder: Path) -> None:
        path = problem_path(folder, self.problem)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (self.model_dump_json() + "\n").encode())


class LoopResults(Frozen):
    """The loop over all problems. `per solved` is a ratio of sums, resampled by problem; None where none was solved."""

    setup: LoopSetup
    problems: int
    solved: Interval
    handed_out_wrong: Interval
    """Share of all problems that ended with a program that passed what the loop could see, and is wrong."""
    statuses: dict[str, int]
    rounds: Interval
    completions: Interval
    replayed: Interval
    """Share of the completions that the pool had recorded."""
    tokens: Interval
    seconds: Interval
    sandbox_runs: Interval
    sandbox_runs_per_solved: Interval | None
    sandbox_runs_of_solved: Interval | None
    """Runs of those problems alone that were solved."""
    tokens_per_solved: Interval | None
    seconds_per_solved: Interval | None
    excluded: dict[str, str]
    infrastructure: dict[str, str]

    def headline(self) -> dict[str, Any]:
        """What a solved task took, as JSON has it."""
        return self.model_dump(mode="json", include=HEADLINE)


def loop_results(
    setup: LoopSetup, found: Sequence[Looped], excluded: Mapping[str, str], infrastructure: Mapping[str, str]
) -> LoopResults:
    """Raises ConfigError where no problem was finished."""
    if not found:
        why = next(iter(infrastructure.values()), "there is none")
        raise ConfigError(f"the loop finished no problem: {why}")
    solved, runs = [float(one.solved) for one in found], [float(one.sandbox_runs) for one in found]
    tokens = [float(one.prompt_tokens + one.completion_tokens) for one in found]
    seconds = [sum(one.seconds.values()) for one in found]
    completions = [float(one.completions) for one in found]
    handed = [one.status in (Status.VERIFIED, Status.UNCHECKED) for one in found]
    some = any(solved)
    return LoopResults(
        setup=setup, problems=len(found), solved=share(solved),
        handed_out_wrong=share([float(out and not one.solved) for out, one in zip(handed, found, strict=True)]),
        statuses=dict(sorted(Counter(one.status.value for one in found).items())),
        rounds=mean([float(one.rounds) for one in found]), completions=mean(completions),
        replayed=mean([float(one.replayed) for one in found], completions), tokens=mean(tokens), seconds=mean(seconds),
        sandbox_runs=mean(runs),
        sandbox_runs_per_solved=mean(runs, solved) if some else None,
        sandbox_runs_of_solved=mean([float(one.sandbox_runs) for one in found if one.solved]) if some else None,
        tokens_per_solved=mean(tokens, solved) if some else None,
        seconds_per_solved=mean(seconds, solved) if some else None,
        excluded=dict(excluded), infrastructure=dict(infrastructure),
    )


def read_loops(run: Run) -> dict[str, LoopResults]:
    """The results of every loop in a run's folder, by the name of its setup. Raises ConfigError."""
    found = {}
    for path in sorted(run.folder.glob(f"{LOOPS}/*/{RESULTS}")):
        try:
            found[path.parent.name] = LoopResults.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ConfigError(f"{path} cannot be read: {error.errors()[0]['msg']}; run the loop again") from error
    return found


def problem_path(folder: Path, problem: str) -> Path:
    return folder / "problems" / f"{file_name(problem)}.json"


def table(found: LoopResults) -> str:
    """The headline as text."""
    lines = [f"{found.setup.name}, ranked by {found.setup.ranker}: {found.problems} problems"]
    shown = {
        "solved": found.solved, "handed out wrong": found.handed_out_wrong,
        "sandbox runs a solved task": found.sandbox_runs_per_solved, "tokens a solved task": found.tokens_per_solved,
        "seconds a solved task": found.seconds_per_solved, "rounds": found.rounds, "completions": found.completions,
        "of them from the pool": found.replayed,
    }
    for name, one in shown.items():
        said = "-" if one is None else f"{one.value:.3f}  [{one.low:.3f}, {one.high:.3f}]  n {one.n}"
        lines.append(f"  {name:<28}{said}")
    lines.append("  " + ", ".join(f"{status} {count}" for status, count in found.statuses.items()))
    lines += [f"excluded: {id_}: {reason}" for id_, reason in found.excluded.items()]
    lines += [f"left undone by infrastructure: {id_}: {message}" for id_, message in found.infrastructure.items()]
    return "\n".join(lines)
