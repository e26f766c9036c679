"""What a run came to: numbers with their n and interval, for a file, and as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from atlas.evals.metrics import pass_at_k
from atlas.evals.pool import Pool, Pooled
from atlas.evals.run import RunConfig
from atlas.evals.score import Scores
from atlas.evals.stages import Outcome
from costfield.bootstrap import Estimate, bootstrap_mean, paired_difference
from costfield.metrics import ByProblem, by_problem, pooled_auroc
from sandbox.types import Frozen

F64 = npt.NDArray[np.float64]
SEED = 0
NEAR = 0.5
ORACLE, RANDOM = "oracle", "random"


class Interval(Frozen):
    """A mean over n problems with its 95% bootstrap interval over problems."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        return cls(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


class RankerResults(Frozen):
    """One way to choose. Fields over mixed problems are None where no problem is mixed."""

    pass_at_1: Interval
    selection: Interval | None
    gap_closed: Interval | None
    within_auroc: Interval | None
    pooled_auroc: float | None
    first_pass_runs: Interval | None
    """Sandbox runs until the first pass, cheapest first, over problems that have a right candidate."""
    unscored: int


class Results(Frozen):
    """Everything that a pool says. `selection` and `pass_at_1` repeat the rankers' values for quick reading."""

    schema_version: Literal[1] = 1
    tasks: int
    mixed: int
    solvable: int
    candidates: int
    completions: int
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
    excluded: dict[str, str]
    infrastructure: dict[str, str]
    config: RunConfig
    provenance: dict[str, str]


def results(
    pool: Pool, scores: Sequence[Scores], outcome: Outcome, config: RunConfig, provenance: Mapping[str, str]
) -> Results:
    """Measure every ranker on the pool; the first of `scores` is the one that the others are compared with.

    Raises ValueError where no problem was graded.
    """
    if not pool.entries:
        raise ValueError("no problem was graded, so there is nothing to measure")
    costs = {one.name: one for one in scores}
    tables = {name: _table(pool, one.cost) for name, one in costs.items()}
    tables[RANDOM] = _table(pool, np.zeros(len(pool.passed)))
    tables[ORACLE] = _table(pool, -pool.passed.astype(np.float64))
    rankers = {name: _ranker(pool, table, costs.get(name)) for name, table in tables.items()}
    leader = scores[0].name if scores else RANDOM
    grades = [grade for entry in pool.entries for grade in entry.grades]
    return Results(
        tasks=len(pool.entries),
        mixed=int(tables[RANDOM].mixed.sum()),
        solvable=sum(entry.samples_right > 0 for entry in pool.entries),
        candidates=len(grades),
        completions=pool.k * len(pool.entries),
        completion_tokens=sum(entry.usage.completion_tokens for entry in pool.entries),
        selection={name: None if r.selection is None else r.selection.value for name, r in rankers.items()},
        pass_at_1={name: r.pass_at_1.value for name, r in rankers.items()},
        pass_at_k=_pass_at_k(pool),
        rankers=rankers,
        ahead=_ahead(tables, leader),
        leader=leader,
        outcomes=dict(sorted(Counter(grade.outcome.value for grade in grades).items())),
        isolation=tuple(sorted({grade.isolation for grade in grades})),
        near_limit=sum(_near_limit(entry) for entry in pool.entries),
        weak=sum(grade.integrity == "weak" for grade in grades),
        excluded={one.id: one.reason for one in outcome.excluded},
        infrastructure={one.id: one.message for one in outcome.troubles},
        config=config,
        provenance=dict(provenance),
    )


def _near_limit(entry: Pooled) -> int:
    most = NEAR * entry.problem.limits.cpu_s
    return sum(grade.passed and grade.slowest_cpu_s > most for grade in entry.grades)


def _table(pool: Pool, cost: F64) -> ByProblem:
    return by_problem(cost, pool.passed, pool.problem)


def _ranker(pool: Pool, table: ByProblem, scores: Scores | None) -> RankerResults:
    picked = np.zeros(len(pool.entries))  # a problem without a candidate is not solved by anyone
    picked[table.problem.astype(np.int64)] = table.selected
    mixed, ranks = table.mixed, table.first_pass[~np.isnan(table.first_pass)]
    some = bool(mixed.any())
    cost = np.zeros(len(pool.passed)) if scores is None else scores.cost
    return RankerResults(
        pass_at_1=_mean(picked),
        selection=_mean(table.selected[mixed]) if some else None,
        gap_closed=_mean((table.selected - table.random)[mixed], (1 - table.random)[mixed]) if some else None,
        within_auroc=_mean(table.wins[mixed] / table.pairs[mixed]) if some else None,
        pooled_auroc=None if scores is None or not some else pooled_auroc(cost, pool.passed),
        first_pass_runs=_mean(ranks) if len(ranks) else None,
        unscored=0 if scores is None else scores.unscored,
    )


def _ahead(tables: Mapping[str, ByProblem], leader: str) -> dict[str, Interval]:
    mixed = tables[leader].mixed
    if not mixed.any():
        return {}
    ours = tables[leader].selected[mixed]
    return {
        name: Interval.of(paired_difference(ours, table.selected[mixed], seed=SEED))
        for name, table in tables.items() if name not in (leader, ORACLE)
    }


def _pass_at_k(pool: Pool) -> dict[str, Interval]:
    right = [entry.samples_right for entry in pool.entries]
    ks = [k for k in (1, 2, 4, 8, 10, 16, 32, 64, 100) if k <= pool.k]
    return {str(k): _mean(pass_at_k([pool.k] * len(right), right, k)) for k in ks}


def _mean(values: npt.ArrayLike, over: npt.ArrayLike | None = None) -> Interval:
    return Interval.of(bootstrap_mean(values, over, seed=SEED))


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
