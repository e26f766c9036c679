"""Two ways measured on the same problems: is one better, and could this many problems have shown it? numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, comb, sqrt

import numpy as np
import numpy.typing as npt

DRAWS = 10_000
AT_ONCE = 1_000
Z_LEVEL, Z_POWER = 1.959963984540054, 0.8416212335729143
"""Quantiles of the normal distribution: two-sided 5%, and a power of 80%."""


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p that `gained` and `lost` problems differ by chance alone: each is a fair coin.

    McNemar, Psychometrika 12 (1947), with the binomial tail instead of its chi-square. Problems on which both agree
    say nothing and are not counted. Without any that differ, 1.
    """
    n = gained + lost
    tail = sum(comb(n, i) for i in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << n))


def sign_flip(differences: npt.ArrayLike, *, seed: int, draws: int = DRAWS) -> float:
    """Two-sided p that the mean of (q,) paired differences is 0, by flipping each one's sign at random.

    Fisher, The Design of Experiments (1935), section 21. The order seen counts as one of those drawn, so that p is
    never 0: Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010).
    For differences of -1, 0 and 1 it estimates what `mcnemar` computes.
    """
    values = np.asarray(differences, np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    seen = abs(values.sum()) * (1 - 1e-12)  # a sum in another order may differ in its last bits
    rng = np.random.default_rng(seed)
    hits = 0
    for begun in range(0, draws, AT_ONCE):
        signs = rng.integers(0, 2, size=(min(AT_ONCE, draws - begun), len(values))) * 2.0 - 1.0
        hits += int((np.abs(signs @ values) >= seen).sum())
    return (1 + hits) / (1 + draws)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for being several: reject those below 5% and no true hypothesis is among them, 95 times of 100.

    Holm, Scandinavian Journal of Statistics 6 (1979): the i-th smallest of m times m - i + 1, never below the one
    before it, and at most 1. Holds however the tests depend on each other.
    """
    adjusted, least = {}, 0.0
    for i, name in enumerate(sorted(p, key=lambda name: p[name])):
        least = max(least, min(1.0, (len(p) - i) * p[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p}


def detectable(differences: npt.ArrayLike) -> float | None:
    """The least true mean difference that as many problems would show with a power of 80% at the 5% level.

    (1.96 + 0.84) · sd / √n over (n,) paired differences: the power analysis of Miller, arXiv 2411.00640 (2024), whose
    variance is measured here. None where it cannot be measured: fewer than two problems, or no difference at all.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2 or not (sd := float(values.std(ddof=1))):
        return None
    return (Z_LEVEL + Z_POWER) * sd / sqrt(len(values))


def problems_needed(differences: npt.ArrayLike) -> int | None:
    """How many problems like these would show a difference as large as the mean one seen: `detectable`, solved for n.

    None where the mean is 0, or `detectable` is.
    """
    values = np.asarray(differences, np.float64)
    least, mean = detectable(values), abs(float(values.mean())) if len(values) else 0.0
    return None if least is None or mean < 1e-12 else ceil(len(values) * (least / mean) ** 2)
