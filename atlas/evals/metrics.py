"""What is measured of a pool besides selection, which `costfield.metrics` measures. numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


def pass_at_k(n: npt.ArrayLike, c: npt.ArrayLike, k: int) -> F64:
    """(q,) unbiased estimate of the probability that one of k samples is right, from n samples of which c are.

    1 - C(n - c, k) / C(n, k), as a product so that nothing overflows: Chen et al. 2021, arXiv 2107.03374, section 2.1.
    Raises ValueError where a problem has fewer than k samples, or more right ones than samples.
    """
    samples, right = np.atleast_1d(np.asarray(n, np.int64)), np.atleast_1d(np.asarray(c, np.int64))
    if k < 1 or (samples < k).any():
        raise ValueError(f"pass@{k} needs at least {k} samples of every problem and k of at least 1")
    if ((right < 0) | (right > samples)).any():
        raise ValueError("a problem has more right samples than samples, or fewer than none")
    missed = [
        np.prod(1.0 - k / np.arange(m - r + 1, m + 1)) if m - r >= k else 0.0
        for m, r in zip(samples, right, strict=True)
    ]
    return 1.0 - np.array(missed, dtype=np.float64)


def wilson(successes: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95% interval of a share with one trial a problem. Wilson, JASA 22 (1927)."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")
    p, z2 = successes / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))



def solved_within(
    cost: npt.ArrayLike, passed: npt.ArrayLike, problem: npt.ArrayLike, problems: int, runs: int
) -> F64:
    """(problems, runs) probability that a problem is solved by its first 1, 2, ... sandbox runs, cheapest first.

    Over (n,) candidates, `problem` from 0 to `problems` - 1. Before the block of equal costs that holds the first
    right candidate nothing passes; of that block's `tied` candidates, in an order drawn by a fair coin, the first m
    hold one of the `good` with probability 1 - C(tied - good, m) / C(tied, m), which is `pass_at_k`.
    """
    costs, right = np.asarray(cost, np.float64), np.asarray(passed, np.bool_)
    code = np.asarray(problem, np.int64)
    best = np.full(problems, np.inf)
    np.minimum.at(best, code[right], costs[right])
    cheaper = np.bincount(code, weights=costs < best[code], minlength=problems)
    tied = np.bincount(code, weights=costs == best[code], minlength=problems)
    good = np.bincount(code, weights=(costs == best[code]) & right, minlength=problems)
    solved = np.zeros((problems, runs))
    for q in np.flatnonzero(np.bincount(code, weights=right, minlength=problems)):
        for run in range(int(cheaper[q]) + 1, runs + 1):
            drawn = min(run - int(cheaper[q]), int(tied[q]))
            solved[q, run - 1] = pass_at_k(tied[q], good[q], drawn)[0]
    return solved
