"""Tests of a paired difference against figures worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.evals.paired import detectable, holm, mcnemar, problems_needed, sign_flip


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (8, 1, 2 * (1 + 9) / 512),
        (9, 2, 2 * (1 + 11 + 55) / 2048),
        (3, 3, 1.0),
    ],
)
def test_mcnemar_is_twice_the_tail_of_a_fair_coin(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p, abs=1e-15)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


def test_mcnemar_of_many_problems_keeps_its_digits() -> None:
    exact = 2 * Fraction(sum(comb(1200, i) for i in range(501)), 2**1200)
    assert mcnemar(500, 700) == pytest.approx(float(exact), rel=1e-12)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5))
def test_flipping_signs_estimates_mcnemar(gained: int, lost: int, same: int) -> None:
    differences = [1.0] * gained + [-1.0] * lost + [0.0] * same
    assert sign_flip(differences, seed=0) == pytest.approx(mcnemar(gained, lost), abs=0.02)


def test_flipping_signs_of_unequal_differences() -> None:
    # Of the 8 signings of 3, 2, 1 only +++ and --- reach a sum of 6: p = 2 / 8.
    assert sign_flip([3.0, 2.0, 1.0], seed=1) == pytest.approx(0.25, abs=0.02)
    # 0.3, 0.2, -0.1: sums as large as 0.4 are ±0.6, ±0.4: p = 4 / 8. The order of addition must not lose the ±0.4.
    assert sign_flip([0.3, 0.2, -0.1], seed=1) == pytest.approx(0.5, abs=0.02)
    assert sign_flip([0.0, 0.0], seed=1) == 1.0
    assert 0 < sign_flip([1.0] * 60, seed=1) < 0.001, "never 0: what was seen counts as one of the draws"


def test_holm_example() -> None:
    # Four hypotheses: 4 × 0.01, 3 × 0.013, 2 × 0.03, 1 × 0.05; each no lower than the one before.
    found = holm({"a": 0.05, "b": 0.01, "c": 0.03, "d": 0.013})
    assert list(found) == ["a", "b", "c", "d"]
    assert found == pytest.approx({"b": 0.04, "d": 0.04, "c": 0.06, "a": 0.06})


def test_holm_stays_below_1_and_takes_nothing() -> None:
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
    assert holm({"a": 0.03}) == {"a": 0.03}


def test_the_least_effect_that_shows() -> None:
    # sd of 50 times +1 and 50 times -1 about their mean of 0, n - 1: √(100 / 99).
    differences = [1.0] * 50 + [-1.0] * 50
    assert detectable(differences) == pytest.approx((1.959964 + 0.841621) * (100 / 99) ** 0.5 / 10, rel=1e-6)
    assert detectable([0.0] * 10) is None
    assert detectable([1.0]) is None
    assert detectable([]) is None


def test_the_problems_needed_show_the_difference_that_was_seen() -> None:
    rng = np.random.default_rng(0)
    differences = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=400)
    needed = problems_needed(differences)
    assert needed is not None
    again = (1.959964 + 0.841621) * differences.std(ddof=1) / needed**0.5
    assert again <= abs(differences.mean()) < again * (needed / (needed - 1)) ** 0.5
    assert problems_needed([1.0, -1.0]) is None
    assert problems_needed([]) is None
