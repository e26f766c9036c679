"""One failure lowers what is expected of the siblings: by hand where it can be, and against drawn data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costfield.siblings import EDGE, Siblings

CHANCES = st.floats(0.001, 0.999)


def test_costfield_without_a_shared_error_a_failure_says_nothing() -> None:
    assert Siblings(task=0, own=1).updated([0.5, 0.3], [0.5, 0.9]) == pytest.approx([0.5, 0.3], abs=1e-4)


def test_costfield_an_update_is_bayes_over_the_shared_error() -> None:
    """The same integral by brute force: 200,001 points between -10 and 10 standard deviations."""
    siblings = Siblings(task=2.0, own=1.0)
    x = np.linspace(-10, 10, 200_001)
    density = np.exp(-x * x / 2)
    a, b = siblings.anchors([0.6, 0.3])

    def sigmoid(logit: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(logit + 2.0 * x)))

    assert (sigmoid(a) * density).sum() / density.sum() == pytest.approx(0.6, abs=1e-4)
    weight = density * (1 - sigmoid(a))
    expected = (sigmoid(b) * weight).sum() / weight.sum()
    assert siblings.updated([0.3], [0.6])[0] == pytest.approx(expected, abs=1e-4)
    assert expected < 0.15


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([0.0, 0.5, 3.0, 5.0]), st.lists(CHANCES, min_size=1, max_size=6), st.lists(CHANCES, max_size=6))
def test_costfield_failures_lower_every_chance_and_change_no_order(
    task: float, left: list[float], failed: list[float]
) -> None:
    siblings = Siblings(task=task, own=1.0)
    before, after = siblings.updated(left, []), siblings.updated(left, failed)
    assert before == pytest.approx(left, abs=1e-4)
    assert (after <= before + 1e-9).all() and (after >= 0).all()
    assert (np.diff(after[np.argsort(left, kind="stable")]) >= -1e-9).all()
    assert (siblings.updated(left, [*failed, 0.5]) <= after + 1e-9).all()


def test_costfield_the_edges_are_held_off() -> None:
    siblings = Siblings(task=3.0, own=1.0)
    assert siblings.updated([0.0, 1.0], []) == pytest.approx([EDGE, 1 - EDGE], abs=1e-7)
    assert np.isfinite(siblings.updated([0.0, 1.0], [1.0] * 50)).all()
    assert siblings.updated([], [0.5]).shape == (0,)


@pytest.mark.parametrize("task", [0.0, 1.5, 3.0])
def test_costfield_the_fit_finds_what_data_was_drawn_with(task: float) -> None:
    rng = np.random.default_rng(3)
    problem = np.repeat(np.arange(600), 6)
    logit = rng.normal(0, 1, 600)[problem] + rng.normal(0, 0.7, len(problem))
    p = 1 / (1 + np.exp(-logit))
    shared = task * rng.standard_normal(600)[problem]
    right = rng.random(len(p)) < 1 / (1 + np.exp(-Siblings(task=task, own=0.7).anchors(p) - shared))
    found = Siblings.fit(p, right, problem)
    assert found.task == pytest.approx(task, abs=0.4)
    assert found.own == pytest.approx(0.7, abs=0.05)


def test_costfield_one_candidate_a_problem_tells_nothing_of_siblings() -> None:
    found = Siblings.fit([0.2, 0.5, 0.9], [False, True, True], ["a", "b", "c"])
    assert found.own == 0.0 and np.isfinite(found.task)
