"""The bar below which nothing is answered: found on one half of the problems, it keeps its promise on others."""

from __future__ import annotations

import numpy as np
import pytest

from costfield.abstain import Abstention, binomial_tail, fit_abstention, measure_abstention
from tests.support.labelled import labelled


def certain(problems: int, p: np.ndarray, seed: int = 0) -> tuple[object, np.ndarray, np.ndarray]:
    """One candidate a problem, right with the probability that is said of it."""
    right = np.random.default_rng(seed).random(problems) < p
    return labelled(problems=problems, siblings=1, passed=right), -np.log(p / (1 - p)), p


def fit(problems: int, p: np.ndarray, seed: int = 0, **limits: float) -> Abstention:
    return fit_abstention(*certain(problems, p, seed), **limits)  # type: ignore[arg-type]


def test_costfield_binomial_tail_is_the_sum_that_it_says() -> None:
    assert binomial_tail(0, 29, 0.1) == pytest.approx(0.9**29)
    assert binomial_tail(1, 2, 0.5) == pytest.approx(0.75)
    assert binomial_tail(2000, 2000, 0.1) == pytest.approx(1)
    # Problems needed for 10% at 95% with 0, 1, 2, 3 and 5 errors: 29, 46, 61, 76, 103.
    for errors, needed in ((0, 29), (1, 46), (2, 61), (3, 76), (5, 103)):
        assert binomial_tail(errors, needed, 0.1) <= 0.05 < binomial_tail(errors, needed - 1, 0.1)


def test_costfield_bar_lies_where_answers_become_too_often_wrong() -> None:
    p = 1 / (1 + np.exp(-np.linspace(-5, 5, 2000)))
    mean_above = np.cumsum(p[::-1]) / np.arange(1, 2001)
    most = float((mean_above >= 0.9).mean())  # what one could answer who knew how right each answer is
    found = fit(2000, p)
    assert found.threshold is not None and found.error is not None
    assert 0.8 * most < found.coverage <= most
    assert found.error <= 0.1 and found.problems == 2000
    assert p[p >= found.threshold].mean() >= 0.9


def test_costfield_bar_holds_on_other_problems_as_often_as_it_says() -> None:
    p, broken = np.random.default_rng(9).uniform(0.3, 1, 300).clip(max=0.999), 0
    for seed in range(200):
        found = fit(300, p, seed)
        above = p[p >= (2 if found.threshold is None else found.threshold)]
        broken += bool(len(above)) and 1 - above.mean() > 0.1  # the true risk of the answers
    assert broken <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)


def test_costfield_too_few_problems_and_hopeless_ones_have_no_bar() -> None:
    few = fit(41, np.full(41, 0.99999))  # 0.9^41 > 0.05 / 4: no error at all proves nothing yet
    assert few.threshold is None and few.coverage == 0 and few.error is None
    assert fit(42, np.full(42, 0.99999)).threshold == pytest.approx(0.99999)
    assert fit(500, np.full(500, 0.5)).threshold is None


def test_costfield_abstention_is_measured_over_all_problems() -> None:
    examples = labelled(problems=4, siblings=2, passed=[True, False, False, False, True, True, False, True])
    p = np.array([0.9, 0.1, 0.8, 0.3, 0.2, 0.1, 0.7, 0.6])
    found = measure_abstention(examples, -p, p, 0.65, seed=0, resamples=200)
    assert (found.answered.value, found.answered.n) == (0.75, 4)
    assert found.error is not None and (found.error.value, found.error.n) == (pytest.approx(2 / 3), 3)
    assert measure_abstention(examples, -p, p, 0.95, seed=0, resamples=200).error is None
