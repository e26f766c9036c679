"""What a ranker is worth, on rows made by hand: figures, intervals, and which way they were found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atlas.errors import ConfigError
from atlas.evals.measures import mean, measure_ranker, share
from atlas.evals.results import summary
from atlas.evals.rows import Rows
from tests.support.evals import config, rows_of

POOL = {
    # (cost, p_pass, passed): mixed and right; mixed and wrong; mixed, a tie; all right; all wrong; no candidate at all
    "a": [(0.1, 0.9, True), (0.2, 0.5, False)],
    "b": [(0.1, 0.8, False), (0.2, 0.4, True), (np.inf, np.nan, True)],
    "c": [(0.1, 0.6, False), (0.1, 0.6, True)],
    "d": [(0.5, 0.7, True), (0.6, 0.7, True)],
    "e": [(0.1, 0.2, False), (0.2, 0.1, False), (0.3, 0.1, False)],
    "f": [],
}


def test_a_share_of_yes_and_no_gets_wilsons_interval_and_other_means_a_bootstrap() -> None:
    found = share([1, 1, 1, 1])
    assert (found.value, found.high, found.n, found.method) == (1.0, 1.0, 4, "wilson")
    assert found.low == pytest.approx(4 / (4 + 1.959964**2), abs=1e-6), "n / (n + z²), where all succeed"
    assert share([1, 0.5]).method == "bootstrap"
    assert mean([1, 1]).method == "bootstrap", "ranks of 1, say, are no share"
    with pytest.raises(ValueError, match="no problem qualifies"):
        share([])


def test_the_curve_of_solved_problems_and_what_a_solved_one_takes() -> None:
    found = measure_ranker(rows_of(POOL), "own")
    assert [point.value for point in found.solved_within] == pytest.approx([2.5 / 6, 4 / 6, 4 / 6])
    assert found.pass_at_1 == found.solved_within[0]
    assert found.runs_per_solved is not None and found.tokens_per_solved is not None
    # a 1, b 2, c a coin between 1 and 2, d 1; e all three in vain, f none to run
    assert found.runs_per_solved.value == pytest.approx((1 + 2 + 1.5 + 1 + 3) / 4)
    assert found.tokens_per_solved.value == pytest.approx(6 * 30 / 2.5)
    assert found.runs_per_solved.n == 6


def test_every_interval_holds_its_value_and_its_problems() -> None:
    found = measure_ranker(rows_of(POOL), "own")
    assert found.selection is not None and found.within_auroc is not None and found.pooled_auroc is not None
    assert (found.selection.n, found.within_auroc.n, found.pooled_auroc.n, found.pass_at_1.n) == (3, 3, 5, 6)
    shown = [found.selection, found.within_auroc, found.pooled_auroc, found.gap_closed, *found.solved_within]
    assert all(one is not None and one.low <= one.value <= one.high for one in shown)


def test_calibration_is_of_the_candidates_that_got_a_probability() -> None:
    found = measure_ranker(rows_of(POOL), "own")
    calibration = found.calibration
    assert calibration is not None
    assert (found.unscored, calibration.without) == (1, 1)
    # Squared errors, each problem weighing a fifth.
    by_hand = [
        (0.1**2 + 0.5**2) / 2, (0.8**2 + 0.6**2) / 2, (0.6**2 + 0.4**2) / 2, 0.3**2, (0.2**2 + 0.1**2 + 0.1**2) / 3,
    ]
    assert calibration.brier.value == pytest.approx(np.mean(by_hand))
    assert calibration.brier.n == 5
    assert sum(point.share for point in calibration.reliability) == pytest.approx(1)
    off = sum(point.share * abs(point.predicted - point.observed.value) for point in calibration.reliability)
    assert calibration.ece.value == pytest.approx(off), "the diagram shows what the figure sums up"


def test_risk_at_each_coverage_is_what_a_hand_works_out() -> None:
    calibration = measure_ranker(rows_of(POOL), "own").calibration
    assert calibration is not None
    # Chosen, surest first: a .9 right, b .8 wrong, d .7 right, c .6 half right, e .2 wrong.
    points = [(p.threshold, p.coverage, p.risk.value, p.risk.n) for p in calibration.risk_coverage]
    assert points == [
        (0.9, 0.2, 0.0, 1), (0.8, 0.4, 0.5, 2), (0.7, 0.6, pytest.approx(1 / 3), 3),
        (0.6, 0.8, pytest.approx(1.5 / 4), 4), (0.2, 1.0, pytest.approx(2.5 / 5), 5),
    ]
    assert calibration.aurc.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 1.5 / 4 + 2.5 / 5) / 5)


def test_random_choice_and_the_oracle_need_no_costs() -> None:
    rows = rows_of(POOL)
    chance, oracle = measure_ranker(rows, "random"), measure_ranker(rows, "oracle")
    assert chance.selection is not None and oracle.selection is not None
    assert chance.selection.value == pytest.approx((1 / 2 + 2 / 3 + 1 / 2) / 3)
    assert (oracle.selection.value, oracle.selection.method) == (1.0, "exact")
    assert (oracle.pass_at_1.value, oracle.pass_at_1.method) == (4 / 6, "wilson")
    assert chance.pooled_auroc is None and chance.calibration is None
    with pytest.raises(ConfigError, match="no ranker 'nobody'; it has own, random, oracle"):
        measure_ranker(rows, "nobody")


def test_a_model_that_writes_no_program_is_measured_too() -> None:
    found = summary(rows_of({"a": [], "b": []}), config(), {}, excluded={}, infrastructure={})
    assert found.pass_at_1 == {"own": 0.0, "random": 0.0, "oracle": 0.0}
    assert (found.completions, found.without_program, found.candidates) == (8, 8, 0)
    assert found.selection["own"] is None and found.rankers["own"].runs_per_solved is None


def test_rows_come_back_from_their_files_as_they_were(tmp_path: Path) -> None:
    rows = rows_of(POOL)
    rows.write(tmp_path)
    again = Rows.read(tmp_path)
    assert (again.problems, again.candidates) == (rows.problems, rows.candidates)
    np.testing.assert_array_equal(again.cost("own"), rows.cost("own"))
    np.testing.assert_array_equal(again.scores["own"].p_pass, rows.scores["own"].p_pass)
    told = {"excluded": {"x": "no reference"}, "infrastructure": {"y": "down"}}
    assert summary(again, config(), {}, **told) == summary(rows, config(), {}, **told)


def test_rows_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="atlas eval resume"):
        Rows.read(tmp_path)
