"""What a run came to: numbers with their n and interval, for a file, and as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from atlas.evals.loop_results import LoopResults
from atlas.evals.measures import SEED, Interval, RankerResults, measure_ranker, share
from atlas.evals.metrics import pass_at_k
from atlas.evals.pool import Pool
from atlas.evals.rows import ORACLE, RANDOM, Rows
from atlas.evals.run import RunConfig
from atlas.evals.score import Scores
from atlas.evals.stages import Outcome
from costfield.bootstrap import paired_difference
from costfield.metrics import by_problem
from sandbox.types import Frozen

NEAR = 0.5


class Results(Frozen):
    """Everything that a pool says. `selection` and `pass_at_1` repeat the rankers' values for quick reading."""

    schema_version: Literal[2] = 2
    tasks: int
    mixed: int
    solvable: int
    candidates: int
    completions: int
    without_program: int
    """Completions that held no program: each is a wrong answer."""
    completion_tokens: int
    selection: dict[str, float | None]
    pass_at_1: dict[str, float]
    pass_at_k: dict[str, Interval]
    """Unbiased, over completions with their copies; an answer without a program is a wrong one."""
    rankers: dict[str, RankerResults]
    ahead: dict[str, Interval]
    """Selection of `leader` less that of each other ranker on the same mixed problems, paired."""
    leader: str
    outcomes: dict[str, int]
    isolation: tuple[str, ...]
    near_limit: int
    """Candidates that passed with a check that took more than `NEAR` of its CPU limit: elsewhere they might not."""
    weak: int
    """Candidates judged in one process with their checks, where they could have cheated."""
    notes: dict[str, str]
    """Problems that were measured without a part of them, and without which."""
    excluded: dict[str, str]
    infrastructure: dict[str, str]
    config: RunConfig
    provenance: dict[str, str]
    loops: dict[str, LoopResults] = Field(default_factory=dict)
    """What the loop came to on the same problems, for each policy and budget that `atlas eval loop` was run with."""


def results(
    pool: Pool, scores: Sequence[Scores], outcome: Outcome, config: RunConfig, provenance: Mapping[str, str]
) -> Results:
    """Measure every ranker on the pool; the first of `scores` is the one that the others are compared with.

    Raises ValueError where no problem was graded.
    """
    return summary(
        Rows.of(pool, scores), config, provenance,
        excluded={one.id: one.reason for one in outcome.excluded},
        infrastructure={one.id: one.message for one in outcome.troubles},
    )


def summary(
    rows: Rows, config: RunConfig, provenance: Mapping[str, str], *,
    excluded: Mapping[str, str], infrastructure: Mapping[str, str],
) -> Results:
    """The same from rows, which a run keeps: anyone computes its results again without its data set, model or sandbox.

    Raises ValueError where there is no problem.
    """
    if not rows.problems:
        raise ValueError("no problem was graded, so there is nothing to measure")
    rankers = {name: measure_ranker(rows, name) for name in rows.rankers}
    chance = rankers[RANDOM].selection
    return Results(
        tasks=len(rows.problems),
        mixed=chance.n if chance else 0,
        solvable=sum(row.right > 0 for row in rows.problems),
        candidates=len(rows.candidates),
        completions=sum(row.samples for row in rows.problems),
        without_program=sum(row.samples for row in rows.problems) - sum(row.copies for row in rows.candidates),
        completion_tokens=sum(row.completion_tokens for row in rows.problems),
        selection={name: None if one.selection is None else one.selection.value for name, one in rankers.items()},
        pass_at_1={name: one.pass_at_1.value for name, one in rankers.items()},
        pass_at_k=_pass_at_k(rows),
        rankers=rankers,
        ahead=_ahead(rows),
        leader=_leader(rows),
        outcomes=dict(sorted(Counter(row.outcome for row in rows.candidates).items())),
        isolation=tuple(sorted({row.isolation for row in rows.candidates})),
        near_limit=_near_limit(rows),
        weak=sum(row.integrity == "weak" for row in rows.candidates),
        notes={row.problem: row.note for row in rows.problems if row.note},
        excluded=dict(excluded),
        infrastructure=dict(infrastructure),
        config=config,
        provenance=dict(provenance),
    )


def _leader(rows: Rows) -> str:
    return next(iter(rows.scores), RANDOM)


def _near_limit(rows: Rows) -> int:
    most = {row.problem: NEAR * row.cpu_limit_s for row in rows.problems}
    return sum(row.passed and row.slowest_cpu_s > most[row.problem] for row in rows.candidates)


def _ahead(rows: Rows) -> dict[str, Interval]:
    tables = {name: by_problem(rows.cost(name), rows.passed, rows.problem) for name in rows.rankers if name != ORACLE}
    leader = _leader(rows)
    mixed = tables[leader].mixed
    if not mixed.any():
        return {}
    ours = tables.pop(leader).selected[mixed]
    return {
        name: Interval.of(paired_difference(ours, table.selected[mixed], seed=SEED)) for name, table in tables.items()
    }


def _pass_at_k(rows: Rows) -> dict[str, Interval]:
    samples, right = [row.samples for row in rows.problems], [row.right for row in rows.problems]
    ks = [k for k in (1, 2, 4, 8, 10, 16, 32, 64, 100) if k <= min(samples)]
    return {str(k): share(pass_at_k(samples, right, k)) for k in ks}


def table(found: Results) -> str:
    """The headline as text: one line a ranker, most solved first."""
    rows = [["ranker", "pass@1", "95%", "selection on mixed", "95%", "gap closed", "AUROC within", "runs to pass"]]
    for name, one in sorted(found.rankers.items(), key=lambda item: (-item[1].pass_at_1.value, item[0])):
        rows.append(
            [
                name, f"{one.pass_at_1.value:.3f}", _range(one.pass_at_1), _value(one.selection), _range(one.selection),
                _value(one.gap_closed), _value(one.within_auroc), _value(one.first_pass_runs),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    verdicts = ", ".join(f"{name} {count}" for name, count in found.outcomes.items()) or "none"
    weak = f", {found.weak} weak" if found.weak else ""
    lines.append(
        f"\n{found.tasks} problems, {found.mixed} mixed; {found.candidates} different candidates of "
        f"{found.completions} completions; verdicts: {verdicts} ({', '.join(found.isolation)}{weak})"
    )
    lines += [f"excluded: {id_}: {reason}" for id_, reason in found.excluded.items()]
    lines += [f"left undone by infrastructure: {id_}: {message}" for id_, message in found.infrastructure.items()]
    return "\n".join(lines)


def _value(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.3f}"


def _range(interval: Interval | None) -> str:
    return "-" if interval is None else f"[{interval.low:.2f}, {interval.high:.2f}]"
