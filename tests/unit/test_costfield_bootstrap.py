"""Intervals: reproducible, as wide as theory says, and blind to how many candidates a problem has."""

from __future__ import annotations

import numpy as np
import pytest

from costfield import metrics
from costfield.bootstrap import bootstrap_mean, bootstrap_rows, paired_difference


def test_costfield_interval_of_a_share_has_the_textbook_width() -> None:
    values = np.r_[np.ones(280), np.zeros(120)]
    got = bootstrap_mean(values, seed=0, resamples=5000)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 400)
    assert (got.value, got.n) == (0.7, 400)
    assert got.low == pytest.approx(0.7 - half, abs=0.004)
    assert got.high == pytest.approx(0.7 + half, abs=0.004)


def test_costfield_intervals_are_seeded() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_costfield_about_95_of_100_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for trial in range(300):
        got = bootstrap_mean(rng.random(80) < 0.6, seed=trial, resamples=400)
        hits += got.low <= 0.6 <= got.high
    assert 0.91 <= hits / 300 <= 0.98


def test_costfield_pairing_sees_a_difference_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(6)
    shared = rng.normal(0, 1, 200)
    ours, theirs = shared + 0.1 + rng.normal(0, 0.1, 200), shared + rng.normal(0, 0.1, 200)
    gain = paired_difference(ours, theirs, seed=0)
    assert gain.low > 0
    assert bootstrap_mean(ours, seed=0).low < bootstrap_mean(theirs, seed=0).value
    assert paired_difference(theirs, ours, seed=0).high < 0
    assert paired_difference(ours, ours, seed=0).low == paired_difference(ours, ours, seed=0).high == 0


def test_costfield_ratio_is_of_sums_and_rows_agree_with_it() -> None:
    rng = np.random.default_rng(7)
    top, bottom = rng.random(60), rng.uniform(1, 3, 60)
    ratio = bootstrap_mean(top, bottom, seed=3)
    assert ratio.value == pytest.approx(top.sum() / bottom.sum())
    rows = bootstrap_rows(lambda w: float((w * top).sum() / (w * bottom).sum()), np.ones(60), np.arange(60), seed=3)
    reflected = (2 * ratio.value - ratio.high, 2 * ratio.value - ratio.low)
    assert (rows.value, rows.low, rows.high) == pytest.approx((ratio.value, *reflected))


def test_costfield_interval_of_a_small_calibration_error_reaches_down_to_it() -> None:
    rng = np.random.default_rng(9)
    p = rng.uniform(0.2, 0.8, 300)
    y = rng.random(300) < p  # calibrated: all of the measured error is noise
    got = bootstrap_rows(lambda w: metrics.ece(p, y, w), np.ones(300), np.arange(300), seed=0, resamples=400)
    assert got.value > 0.03
    assert got.low < 0.02
    assert got.low <= got.value <= got.high + 0.02


def test_costfield_copying_candidates_does_not_narrow_an_interval() -> None:
    rng = np.random.default_rng(8)
    p, y, problem = rng.random(60), rng.random(60) < 0.5, np.arange(60)

    def width(copies: int) -> float:
        said, was = np.repeat(p, copies), np.repeat(y, copies)
        ids = np.repeat(problem, copies)
        got = bootstrap_rows(lambda w: metrics.brier(said, was, w), np.ones(len(ids)), ids, seed=0, resamples=500)
        assert got.n == 60
        return got.high - got.low

    assert width(5) == pytest.approx(width(1))


def test_costfield_undefined_resamples_are_left_out_and_nothing_at_all_is_refused() -> None:
    cost, y = np.array([1.0, 2.0, 3.0]), np.array([True, False, False])
    got = bootstrap_rows(lambda w: metrics.pooled_auroc(cost, y, w), np.ones(3), np.arange(3), seed=0)
    assert got.value == got.low == got.high == 1  # in draws without both classes it is not defined
    with pytest.raises(ValueError, match="nothing to average"):
        bootstrap_mean([], seed=0)
