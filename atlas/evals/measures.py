"""What one ranker is worth on a graded pool: every figure with the number of problems it rests on and its interval.

Means over problems get a bootstrap interval over problems, and Wilson's where each problem says yes or no once: then
they are a share of independent trials, and a share of 0 or 1 keeps an honest width. Ties count by expectation.
"""

from __future__ import annotations

from math import ceil
from typing import Literal

import numpy as np
import numpy.typing as npt

from atlas.evals.metrics import solved_within, wilson
from atlas.evals.rows import ORACLE, Rows
from costfield import metrics
from costfield.bootstrap import Estimate, bootstrap_mean, bootstrap_rows
from costfield.evaluate import cheapest
from costfield.metrics import ByProblem, by_problem
from sandbox.types import Frozen

F64 = npt.NDArray[np.float64]
SEED = 0
COVERAGES = 10


class Interval(Frozen):
    """A figure with its 95% interval and the n problems it rests on. `exact`: it is so by definition."""

    value: float
    low: float
    high: float
    n: int
    method: Literal["bootstrap", "wilson", "exact"] = "bootstrap"

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        return cls(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


class ReliabilityPoint(Frozen):
    """Candidates of which a ranker said `predicted`; `observed` is the share that passed, in `share` of the mass."""

    predicted: float
    observed: Interval
    share: float


class RiskPoint(Frozen):
    """Answering only where the chosen candidate's probability is at least `threshold` answers a share of `coverage`.

    `risk` is the share of those answers that is wrong.
    """

    threshold: float
    coverage: float
    risk: Interval


class Calibration(Frozen):
    """Whether a ranker's probabilities mean what they say. Each problem weighs the same; bins hold equal mass.

    `ece_chosen` and `aurc` (area under the risk-coverage curve, lower is better) are about the one candidate that is
    run. `without`: candidates, of all, for which it said no probability; they are not in here.
    """

    brier: Interval
    ece: Interval
    ece_chosen: Interval
    aurc: Interval
    reliability: tuple[ReliabilityPoint, ...]
    risk_coverage: tuple[RiskPoint, ...]
    without: int


class RankerResults(Frozen):
    """One way to choose. Fields over mixed problems are None where no problem is mixed."""

    pass_at_1: Interval
    selection: Interval | None
    gap_closed: Interval | None
    within_auroc: Interval | None
    pooled_auroc: Interval | None
    """Over candidates of all problems at once. Knowing only which problems are hard makes it high."""
    first_pass_runs: Interval | None
    """Rank of the first candidate that passes, cheapest first, over problems that have one."""
    solved_within: tuple[Interval, ...]
    """Share of problems solved by 1, 2, ... sandbox runs, cheapest first."""
    runs_per_solved: Interval | None
    """Sandbox runs, cheapest first until one passes or none is left, for each problem solved so."""
    tokens_per_solved: Interval | None
    """Tokens of all completions, read and written, for each problem solved by running the cheapest only."""
    calibration: Calibration | None
    """None for a ranker that says no probabilities."""
    unscored: int


def mean(values: npt.ArrayLike, over: npt.ArrayLike | None = None) -> Interval:
    """Mean of (q,) values, one a problem, or the ratio Σ values / Σ `over`. Raises ValueError for no problem."""
    return Interval.of(bootstrap_mean(values, over, seed=SEED))


def share(values: npt.ArrayLike) -> Interval:
    """Mean of (q,) shares between 0 and 1; Wilson's interval where each is 0 or 1. Raises ValueError for no problem."""
    column = np.asarray(values, np.float64)
    if not len(column) or not np.isin(column, (0.0, 1.0)).all():
        return mean(column)
    low, high = wilson(int(column.sum()), len(column))
    return Interval(value=float(column.mean()), low=low, high=high, n=len(column), method="wilson")


def measure_ranker(rows: Rows, name: str) -> RankerResults:
    """Everything about the ranker called `name`. Raises ConfigError where the rows know none of that name."""
    cost, passed, problem, q = rows.cost(name), rows.passed, rows.problem, len(rows.problems)
    table = by_problem(cost, passed, problem)
    most = int(table.candidates.max(initial=1))
    solved = solved_within(cost, passed, problem, q, most)
    mixed, ranks = table.mixed, table.first_pass[~np.isnan(table.first_pass)]
    some, known = bool(mixed.any()), rows.scores.get(name)
    selection = share(table.selected[mixed]) if some else None
    within = share(table.wins[mixed] / table.pairs[mixed]) if some else None
    if name == ORACLE and some:
        selection = within = Interval(value=1.0, low=1.0, high=1.0, n=int(mixed.sum()), method="exact")
    tokens = np.array([row.prompt_tokens + row.completion_tokens for row in rows.problems], dtype=np.float64)
    return RankerResults(
        pass_at_1=share(solved[:, 0]),
        selection=selection,
        gap_closed=mean((table.selected - table.random)[mixed], (1 - table.random)[mixed]) if some else None,
        within_auroc=within,
        pooled_auroc=_pooled(cost, passed, problem) if known and some else None,
        first_pass_runs=mean(ranks) if len(ranks) else None,
        solved_within=tuple(share(solved[:, run]) for run in range(most)),
        runs_per_solved=_runs_per_solved(table, q) if len(ranks) else None,
        tokens_per_solved=mean(tokens, solved[:, 0]) if solved[:, 0].any() and tokens.any() else None,
        calibration=None if known is None or np.isnan(known.p_pass).all() else _calibration(rows, name),
        unscored=0 if known is None else known.unscored,
    )


def _runs_per_solved(table: ByProblem, problems: int) -> Interval:
    spent, solved = np.zeros(problems), np.zeros(problems)
    at = table.problem.astype(np.int64)
    solved[at] = table.passes > 0
    spent[at] = np.where(table.passes > 0, table.first_pass, table.candidates)
    return mean(spent, solved)


def _pooled(cost: F64, passed: npt.NDArray[np.bool_], problem: npt.NDArray[np.int64]) -> Interval:
    _, block = np.unique(cost, return_inverse=True)
    return Interval.of(
        bootstrap_rows(lambda w: metrics.auroc_of_blocks(block, passed, w), np.ones(len(cost)), problem, seed=SEED)
    )


def _calibration(rows: Rows, name: str) -> Calibration:
    p = rows.scores[name].p_pass
    said = ~np.isnan(p)
    _, codes = np.unique(rows.problem[said], return_inverse=True)
    p, cost, right = p[said], rows.cost(name)[said], rows.passed[said]
    table = by_problem(cost, right, codes)
    weight = 1.0 / table.candidates[codes]  # (n,) each problem's rows sum to 1
    p_chosen, share_right = cheapest(table, cost, p, codes)
    each, ones = np.arange(len(p_chosen)), np.ones(len(p_chosen))

    def aurc(counts: F64) -> float:
        drawn = np.repeat(each, counts.astype(np.int64))
        return metrics.aurc(p_chosen[drawn], share_right[drawn])

    return Calibration(
        brier=Interval.of(bootstrap_rows(lambda w: metrics.brier(p, right, w), weight, codes, seed=SEED)),
        ece=Interval.of(bootstrap_rows(lambda w: metrics.ece(p, right, w), weight, codes, seed=SEED)),
        ece_chosen=Interval.of(
            bootstrap_rows(lambda w: metrics.ece(p_chosen, share_right, w), ones, each, seed=SEED)
        ),
        aurc=Interval.of(bootstrap_rows(aurc, ones, each, seed=SEED)),
        reliability=_reliability(p, right, weight, codes),
        risk_coverage=_risk_coverage(p_chosen, share_right),
        without=int((~said).sum()),
    )


def _reliability(
    p: F64, right: npt.NDArray[np.bool_], weight: F64, problem: npt.NDArray[np.int64]
) -> tuple[ReliabilityPoint, ...]:
    """The bars of the diagram that `ece` sums up, each with the interval of what was observed in it."""
    which, points = metrics.mass_bins(p, weight), []
    for found, bin_ in zip(metrics.reliability(p, right, weight), np.unique(which), strict=True):
        inside = which == bin_
        _, code = np.unique(problem[inside], return_inverse=True)
        mass = np.bincount(code, weights=weight[inside])
        good = np.bincount(code, weights=weight[inside] * right[inside])
        varied = good.any() and (good < mass).any()  # where none or all of them passed, resampling finds nothing else
        observed = mean(good, mass) if varied else share(good > 0)
        points.append(ReliabilityPoint(predicted=found.predicted, observed=observed, share=found.share))
    return tuple(points)


def _risk_coverage(p: F64, right: F64) -> tuple[RiskPoint, ...]:
    """The curve at ten coverages or fewer: the highest thresholds that answer at least a tenth, two tenths, ..."""
    sure = np.sort(p)[::-1]
    thresholds = {float(sure[ceil(len(p) * part / COVERAGES) - 1]) for part in range(1, COVERAGES + 1)}
    return tuple(
        RiskPoint(threshold=one, coverage=float((p >= one).mean()), risk=share(1 - right[p >= one]))
        for one in sorted(thresholds, reverse=True)
    )
