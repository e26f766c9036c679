"""How good a ranking is, in numpy and nothing else. Lower cost means more likely right, throughout.

Everything about ranking comes from one table, `by_problem`, with a row for each problem; a metric is a mean over some
of its rows, and an interval is what that mean does when *problems* are resampled (candidates of one problem are not
independent). Ties are settled by expectation, as if equal costs were ordered by a fair coin, so a constant cost
scores exactly what random choice does. A cost of +inf is allowed and means "unscored, ranked last"; NaN is refused.

A field that only knows which problems are hard gets a pooled AUROC of .86 and selects no better than chance, so
`pooled_auroc` is printed for comparison with papers and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, kw_only=True)
class ByProblem:
    """What a cost does on each of q problems. Columns are (q,) float64; NaN where a thing is undefined."""

    problem: npt.NDArray[np.generic]
    candidates: F64  # number of candidates
    passes: F64  # how many of them are right
    tied: F64  # how many share the lowest cost
    selected: F64  # probability that the cheapest is right
    pairs: F64  # right-wrong pairs; 0 unless mixed
    wins: F64  # pairs in which the right one is cheaper, a tie counting one half
    first_pass: F64  # expected runs until a right one when run cheapest first; NaN when none is right

    @property
    def mixed(self) -> npt.NDArray[np.bool_]:
        """(q,) problems with both a right and a wrong candidate."""
        return self.pairs > 0

    @property
    def random(self) -> F64:
        """(q,) probability that a uniformly random candidate is right. Exact, nothing is drawn."""
        return self.passes / self.candidates


def by_problem(cost: npt.ArrayLike, passed: npt.ArrayLike, problem: npt.ArrayLike) -> ByProblem:
    """Summarise (n,) costs, labels and problem ids into one row a problem, in the sorted order of ids.

    Rows are sorted by problem and cost and cut into *blocks* of equal cost; the rest is sums over blocks.
    `first_pass` uses E[smallest of s ranks drawn from m] = (m + 1) / (s + 1) inside the first block with a pass.
    Raises ValueError for a NaN cost.
    """
    ids, costs, right, code = _sorted(cost, passed, problem)
    new_problem = np.r_[True, code[1:] != code[:-1]][: len(code)]  # nothing is new where there is no row
    new_block = new_problem | np.r_[True, costs[1:] != costs[:-1]][: len(code)]
    block = np.cumsum(new_block) - 1  # (n,) block of each row
    owner = code[new_block]  # (blocks,) problem of each block
    size, good = np.bincount(block).astype(float), np.bincount(block, weights=right)
    first_row = np.flatnonzero(new_problem)[code]  # (n,) where the row's problem starts
    before = (np.arange(len(costs)) - first_row)[new_block]  # (blocks,) cheaper siblings

    candidates = np.bincount(code).astype(np.float64)
    passes = np.bincount(code, weights=right).astype(np.float64)
    rank = before + (size + 1) / 2  # mid-rank of the block, from 1
    fails = candidates - passes
    # Mann-Whitney: the rank sum of the wrong ones, less what they would have if all came first.
    wins = np.bincount(owner, weights=(size - good) * rank) - fails * (fails + 1) / 2

    cheapest = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
    solved, hit = np.unique(owner[good > 0], return_index=True)
    hit = np.flatnonzero(good > 0)[hit]  # first block with a pass, of each solvable problem
    first_pass = np.full(len(ids), np.nan)
    first_pass[solved] = before[hit] + (size[hit] + 1) / (good[hit] + 1)
    return ByProblem(
        problem=ids,
        candidates=candidates,
        passes=passes,
        tied=size[cheapest],
        selected=good[cheapest] / size[cheapest],
        pairs=passes * fails,
        wins=np.where(passes > 0, wins, 0.0),
        first_pass=first_pass,
    )


def _sorted(
    cost: npt.ArrayLike, passed: npt.ArrayLike, problem: npt.ArrayLike
) -> tuple[npt.NDArray[np.generic], F64, F64, npt.NDArray[np.int64]]:
    """Distinct problems, and (n,) costs, labels and problem codes sorted by problem, then cost."""
    costs, right = np.asarray(cost, np.float64), np.asarray(passed, np.float64)
    if np.isnan(costs).any():
        raise ValueError("a cost is NaN; use +inf for a candidate that is unscored and ranked last")
    ids, code = np.unique(np.asarray(problem), return_inverse=True)
    order = np.lexsort((costs, code))
    return ids, costs[order], right[order], code[order].astype(np.int64)


def selection_accuracy(table: ByProblem) -> float:
    """Share of mixed problems whose cheapest candidate is right."""
    return float(table.selected[some_mixed(table)].mean())


def random_accuracy(table: ByProblem) -> float:
    """What choosing uniformly at random scores on the mixed problems. Exact."""
    return float(table.random[some_mixed(table)].mean())


def gap_closed(table: ByProblem) -> float:
    """(selection − random) / (1 − random) over mixed problems: 0 is chance, 1 is an oracle."""
    chance = random_accuracy(table)
    return (selection_accuracy(table) - chance) / (1 - chance)


def within_auroc(table: ByProblem) -> float:
    """Mean over mixed problems of P(a right sibling is cheaper than a wrong one): each problem weighs the same.

    AUROC as the Mann-Whitney statistic: Hanley & McNeil, Radiology 143 (1982).
    """
    mixed = some_mixed(table)
    return float((table.wins[mixed] / table.pairs[mixed]).mean())


def within_auroc_pairs(table: ByProblem) -> float:
    """The same over all right-wrong pairs of siblings at once: problems with more pairs weigh more."""
    mixed = some_mixed(table)
    return float(table.wins[mixed].sum() / table.pairs[mixed].sum())


def first_pass_rank(table: ByProblem) -> float:
    """Expected sandbox runs until a right program, cheapest first, over problems that have one."""
    ranks = table.first_pass[~np.isnan(table.first_pass)]
    if not len(ranks):
        raise ValueError("no problem has a right candidate")
    return float(ranks.mean())


def some_mixed(table: ByProblem) -> npt.NDArray[np.bool_]:
    """(q,) which problems are mixed. Raises ValueError when none is."""
    if not table.mixed.any():
        raise ValueError("no problem has both right and wrong candidates: selection cannot be measured")
    return table.mixed


def pooled_auroc(cost: npt.ArrayLike, passed: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """P(a right candidate is cheaper than a wrong one of any problem). Measures difficulty more than selection."""
    _, block = np.unique(np.asarray(cost, np.float64), return_inverse=True)
    return auroc_of_blocks(block, passed, np.ones(len(block)) if weight is None else weight)


def auroc_of_blocks(block: npt.NDArray[np.int64], passed: npt.ArrayLike, weight: npt.ArrayLike) -> float:
    """`pooled_auroc` of costs that are sorted already: (n,) position of each one's cost among the distinct costs.

    Resampling changes weights and never the order, so an interval need not sort two thousand times.
    """
    right, w = np.asarray(passed, np.bool_), np.asarray(weight, np.float64)
    bad, good = np.bincount(block, weights=w * ~right), np.bincount(block, weights=w * right)
    dearer = bad.sum() - np.cumsum(bad)  # (blocks,) weight of wrong ones above this cost
    pairs = good.sum() * bad.sum()
    if pairs == 0:
        raise ValueError("AUROC needs both right and wrong candidates")
    return float((good * (dearer + bad / 2)).sum() / pairs)


def brier(p: npt.ArrayLike, passed: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Mean squared error of the probability. Brier, Monthly Weather Review 78 (1950)."""
    error = np.square(np.asarray(p, np.float64) - np.asarray(passed, np.float64))
    return float(np.average(error, weights=None if weight is None else np.asarray(weight, np.float64)))


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """One bar of a reliability diagram: it said `predicted` and `observed` were right, in `share` of the mass."""

    predicted: float
    observed: float
    share: float


def mass_bins(p: npt.ArrayLike, weight: npt.ArrayLike, bins: int = BINS) -> npt.NDArray[np.int64]:
    """(n,) which of `bins` bins of equal mass each probability falls into, from least to most likely.

    Equal-mass bins: Nguyen & O'Connor, EMNLP 2015 (arXiv 1508.05154).
    """
    order = np.argsort(np.asarray(p, np.float64), kind="stable")
    w = np.asarray(weight, np.float64)[order]
    middle = (np.cumsum(w) - w / 2) / w.sum()
    which = np.empty(len(order), np.int64)
    which[order] = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return which


def reliability(
    p: npt.ArrayLike, passed: npt.ArrayLike, weight: npt.ArrayLike | None = None, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """At most `bins` bins of equal mass, from least to most likely; empty ones are left out."""
    prob, right = np.asarray(p, np.float64), np.asarray(passed, np.float64)
    w = np.ones(len(prob)) if weight is None else np.asarray(weight, np.float64)
    which = mass_bins(prob, w, bins)
    mass = np.bincount(which, weights=w, minlength=bins)
    used = mass > 0
    said = np.bincount(which, weights=w * prob, minlength=bins)[used] / mass[used]
    was = np.bincount(which, weights=w * right, minlength=bins)[used] / mass[used]
    share = mass[used] / mass.sum()
    return tuple(
        ReliabilityBin(predicted=float(s), observed=float(o), share=float(m))
        for s, o, m in zip(said, was, share, strict=True)
    )


def ece(p: npt.ArrayLike, passed: npt.ArrayLike, weight: npt.ArrayLike | None = None, bins: int = BINS) -> float:
    """Expected calibration error: mean |predicted − observed| over equal-mass bins, by mass.

    Naeini, Cooper & Hauskrecht, AAAI 2015. Never below 0, so small samples read high even when calibrated.
    """
    return sum(b.share * abs(b.predicted - b.observed) for b in reliability(p, passed, weight, bins))


def risk_coverage(p: npt.ArrayLike, right: npt.ArrayLike) -> tuple[F64, F64]:
    """(coverage, risk), each (m,): the error rate among the most confident c of m answers, c = 1..m.

    Inside a run of equal confidence the errors are spread evenly, which is their expectation over its orders.
    El-Yaniv & Wiener, JMLR 11 (2010).
    """
    confidence, wrong = np.asarray(p, np.float64), 1 - np.asarray(right, np.float64)
    _, block = np.unique(-confidence, return_inverse=True)  # most confident first
    spread = (np.bincount(block, weights=wrong) / np.bincount(block))[np.sort(block)]
    answered = np.arange(1, len(confidence) + 1)
    return answered / len(confidence), np.cumsum(spread) / answered


def aurc(p: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Area under the risk-coverage curve, lower is better. Geifman, Uziel & El-Yaniv, ICLR 2019 (arXiv 1805.08206)."""
    return float(risk_coverage(p, right)[1].mean())


class RowStatistic(Protocol):
    """A statistic of rows: values, labels and weights in, one number out."""

    def __call__(self, values: npt.ArrayLike, passed: npt.ArrayLike, weight: npt.ArrayLike | None = None, /) -> float:
        """The statistic."""
