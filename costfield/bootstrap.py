"""Intervals and paired differences: resample *problems*, never candidates.

Candidates of one problem share its difficulty, so the problem is the unit that repeats (Efron & Tibshirani, *An
Introduction to the Bootstrap*, 1993; clusters: Field & Welsh, JRSS-B 69, 2007). Means get percentile intervals;
statistics that resampling biases, as it does ECE, get basic ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured number with its 95% interval and the number of problems it rests on."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: npt.ArrayLike, over: npt.ArrayLike | None = None, *, seed: int, resamples: int = RESAMPLES
) -> Estimate:
    """Mean of (q,) per-problem `values`, or the ratio Σ values / Σ `over`, with its interval.

    Raises ValueError when there is no problem at all.
    """
    top = np.asarray(values, np.float64)
    bottom = np.ones(len(top)) if over is None else np.asarray(over, np.float64)
    if not len(top):
        raise ValueError("nothing to average: no problem qualifies")
    counts = _draws(len(top), seed, resamples)  # (resamples, q)
    below = counts @ bottom
    ratios = (counts @ top)[below > 0] / below[below > 0]
    return _estimate(float(top.sum() / bottom.sum()), ratios, len(top))


def paired_difference(ours: npt.ArrayLike, theirs: npt.ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Estimate:
    """Mean of ours − theirs over the same (q,) problems. An interval above 0 says ours is better.

    Pairing removes what both share (how hard each problem is), so it sees differences that two separate intervals hide.
    """
    return bootstrap_mean(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64), seed=seed, resamples=resamples)


def bootstrap_rows(
    statistic: Callable[[F64], float],
    weight: npt.ArrayLike,
    problem: npt.ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Estimate:
    """For statistics that are no mean over problems (pooled AUROC, ECE): `statistic` maps (n,) row weights to [0, 1].

    A resample multiplies each row's `weight` by how often its problem was drawn. Draws in which the statistic is
    undefined (one class only) are left out. ECE is never below 0, so noise raises it, and a resample's noise raises it
    again by about as much: the basic interval (2 · value − quantile; Davison & Hinkley 1997, section 5.2) takes that
    off instead of doubling it. Clipped to [0, 1].
    """
    base = np.asarray(weight, np.float64)
    ids, code = np.unique(np.asarray(problem), return_inverse=True)
    values = []
    for counts in _draws(len(ids), seed, resamples):
        try:
            values.append(statistic(base * counts[code]))
        except ValueError:
            continue
    percentile = _estimate(statistic(base), np.asarray(values), len(ids))
    low, high = np.clip([2 * percentile.value - percentile.high, 2 * percentile.value - percentile.low], 0, 1)
    return Estimate(value=percentile.value, low=float(low), high=float(high), n=percentile.n)


@functools.lru_cache(maxsize=4)  # one evaluation draws the same problems for dozens of figures
def _draws(problems: int, seed: int, resamples: int) -> F64:
    """(resamples, problems) how often each problem is drawn when `problems` are drawn with replacement. Read-only."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(problems, np.full(problems, 1 / problems), size=resamples).astype(np.float64)
    counts.setflags(write=False)
    return counts


def _estimate(value: float, resampled: F64, n: int) -> Estimate:
    if not len(resampled):
        raise ValueError(f"no resample of {n} problems gives a defined value")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high), n=n)
