"""Is B better than A? Paired by problem, so that what both share (how hard each problem is) cancels out.

A and B are two runs, or two rankers of one. Only problems that both measured, with the same checks, are compared; the
others are named. Every difference is B less A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from atlas.errors import ConfigError
from atlas.evals.comparison import Comparison, Difference
from atlas.evals.flips import Measured, flips
from atlas.evals.measures import SEED, Interval, mean, share
from atlas.evals.metrics import pass_at_k, solved_within
from atlas.evals.paired import detectable, holm, mcnemar, problems_needed, sign_flip
from atlas.evals.rows import Rows
from costfield.bootstrap import paired_difference
from costfield.metrics import ByProblem, by_problem

F64 = npt.NDArray[np.float64]
LOWER_IS_BETTER = frozenset({"first_pass_runs"})


def compare(a: Measured, b: Measured, *, fail_under: float | None = None) -> Comparison:
    """B against A. Raises ConfigError where no problem was measured by both with the same checks."""
    common, left_out = _common(a.rows, b.rows)
    ours, theirs = _Columns.of(a, common), _Columns.of(b, common)
    metrics = _differences(ours, theirs, same_pool=Path(a.side.run).resolve() == Path(b.side.run).resolve())
    regression = any(one.worse for one in metrics.values())
    low = fail_under is not None and metrics["pass_at_1"].b.value < fail_under
    return Comparison(
        a=a.side, b=b.side, problems=len(common), left_out=left_out, metrics=metrics,
        flips=flips(a, b, common, ours.solved, theirs.solved),
        fail_under=fail_under, regression=regression, ok=not regression and not low,
    )


def _common(a: Rows, b: Rows) -> tuple[list[str], dict[str, str]]:
    checks_a, checks_b = ({row.problem: row.checks for row in rows.problems} for rows in (a, b))
    left_out = {one: "only A measured it" for one in checks_a if one not in checks_b}
    left_out |= {one: "only B measured it" for one in checks_b if one not in checks_a}
    left_out |= {
        one: "the two were judged by other checks" for one in checks_a.keys() & checks_b.keys()
        if checks_a[one] != checks_b[one]
    }
    common = [one for one in checks_a if one not in left_out]
    if not common:
        raise ConfigError("the two have no problem in common that was judged by the same checks, so nothing compares")
    return common, dict(sorted(left_out.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """(m,) what a side does on each problem in common; NaN where a thing is undefined for that problem."""

    solved: F64
    selected: F64
    auroc: F64
    first_pass: F64
    sampled: F64
    solvable: F64

    @classmethod
    def of(cls, measured: Measured, common: Sequence[str]) -> _Columns:
        rows, ranker = measured.rows, measured.side.ranker
        cost, passed, problem = rows.cost(ranker), rows.passed, rows.problem
        table = by_problem(cost, passed, problem)
        at = {row.problem: i for i, row in enumerate(rows.problems)}
        index = np.array([at[one] for one in common])

        def spread(values: F64) -> F64:
            whole: F64 = np.full(len(rows.problems), np.nan)
            whole[table.problem.astype(np.int64)] = values
            return np.take(whole, index)

        chosen = [rows.problems[i] for i in index]
        return cls(
            solved=solved_within(cost, passed, problem, len(rows.problems), 1)[index, 0],
            selected=spread(np.where(table.mixed, table.selected, np.nan)),
            auroc=spread(_within(table)),
            first_pass=spread(table.first_pass),
            sampled=pass_at_k([row.samples for row in chosen], [row.right for row in chosen], 1),
            solvable=np.array([float(row.right > 0) for row in chosen]),
        )


def _within(table: ByProblem) -> F64:
    share: F64 = table.wins / np.where(table.mixed, table.pairs, 1.0)
    return np.where(table.mixed, share, np.nan)


def _differences(a: _Columns, b: _Columns, *, same_pool: bool) -> dict[str, Difference]:
    """Each metric on the problems where both sides have it; of one pool, without what its candidates alone decide."""
    columns = {
        "pass_at_1": (a.solved, b.solved), "selection": (a.selected, b.selected), "within_auroc": (a.auroc, b.auroc),
        "first_pass_runs": (a.first_pass, b.first_pass),
    }
    if not same_pool:
        columns |= {"sampled_pass_at_1": (a.sampled, b.sampled), "oracle_pass_at_1": (a.solvable, b.solvable)}
    both = {name: ~np.isnan(ours) & ~np.isnan(theirs) for name, (ours, theirs) in columns.items()}
    pairs = {name: (ours[both[name]], theirs[both[name]]) for name, (ours, theirs) in columns.items()}
    pairs = {name: pair for name, pair in pairs.items() if len(pair[0])}
    tests = {name: _test(ours, theirs) for name, (ours, theirs) in pairs.items()}
    adjusted = holm({name: p for name, (_, p) in tests.items()})
    return {
        name: Difference(
            a=_of(name, ours), b=_of(name, theirs), difference=Interval.of(paired_difference(theirs, ours, seed=SEED)),
            better="lower" if name in LOWER_IS_BETTER else "higher", test=tests[name][0],
            gained=int((theirs > ours).sum()), lost=int((theirs < ours).sum()), p=tests[name][1],
            p_holm=adjusted[name], detectable=detectable(theirs - ours), problems_needed=problems_needed(theirs - ours),
        )
        for name, (ours, theirs) in pairs.items()
    }


def _of(metric: str, values: F64) -> Interval:
    """Runs are counted; everything else is a share."""
    return mean(values) if metric == "first_pass_runs" else share(values)


def _test(a: F64, b: F64) -> tuple[Literal["mcnemar", "sign-flip"], float]:
    if np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all():
        return "mcnemar", mcnemar(int((b > a).sum()), int((b < a).sum()))
    return "sign-flip", sign_flip(b - a, seed=SEED)
