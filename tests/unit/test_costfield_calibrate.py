"""Calibration finds the slopes that made the labels, never reorders siblings, and stays finite."""

from __future__ import annotations

import numpy as np
import pytest

from costfield.calibrate import fit_calibration


def test_costfield_calibration_recovers_the_slopes_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    b, r = rng.normal(0, 2, 20_000), rng.normal(0, 2, 20_000)
    passed = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * b + 2.0 * r - 0.7)))
    got = fit_calibration(b, r, passed, np.full(20_000, 0.25))
    assert (got.task_slope, got.rank_slope, got.bias) == pytest.approx((0.5, 2.0, -0.7), abs=0.07)
    assert got.problems == 5000


def test_costfield_calibration_of_good_logits_leaves_them_alone() -> None:
    rng = np.random.default_rng(1)
    b, r = rng.normal(0, 1, 20_000), rng.normal(0, 1, 20_000)
    passed = rng.random(20_000) < 1 / (1 + np.exp(-(b + r)))
    got = fit_calibration(b, r, passed, np.full(20_000, 0.25))
    assert (got.task_slope, got.rank_slope, got.bias) == pytest.approx((1, 1, 0), abs=0.06)


def test_costfield_calibration_silences_a_head_without_signal_but_never_flips_it() -> None:
    rng = np.random.default_rng(2)
    r = rng.normal(0, 3, 5000)
    passed = rng.random(5000) < 1 / (1 + np.exp(r))  # the head is exactly wrong
    got = fit_calibration(np.zeros(5000), r, passed, np.full(5000, 0.2))
    assert 0 < got.rank_slope < 0.1
    logits = got(np.zeros(3), np.array([-1.0, 0.0, 2.0]))
    assert (np.diff(logits) > 0).all()


def test_costfield_calibration_on_few_separated_rows_is_finite() -> None:
    got = fit_calibration(
        np.zeros(4), np.array([-1.0, -1.0, 1.0, 1.0]), np.array([False, False, True, True]), np.ones(4)
    )
    assert 1 < got.rank_slope < 20
    assert abs(got.bias) < 1
