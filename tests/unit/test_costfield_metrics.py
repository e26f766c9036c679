"""Metrics against brute force: every pair, every order of ties."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costfield import metrics
from costfield.metrics import by_problem

# Few distinct costs, so that ties are common; few siblings, so that all orders can be listed.
ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, np.inf]), st.booleans(), st.sampled_from("abc")), min_size=1, max_size=15
).filter(lambda rows: all(sum(r[2] == p for r in rows) <= 5 for p in "abc"))


def orders(cost: list[float]) -> list[tuple[int, ...]]:
    """Every order of rows that is cheapest first."""
    return [o for o in permutations(range(len(cost))) if all(cost[a] <= cost[b] for a, b in pairwise(o))]


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_costfield_table_matches_every_order_of_ties(rows: list[tuple[float, bool, str]]) -> None:
    table = by_problem([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    for q, name in enumerate(sorted({r[2] for r in rows})):
        cost = [r[0] for r in rows if r[2] == name]
        right = [r[1] for r in rows if r[2] == name]
        ways = orders(cost)
        assert table.problem[q] == name
        assert table.random[q] == pytest.approx(np.mean(right))
        assert table.selected[q] == pytest.approx(np.mean([right[o[0]] for o in ways]))
        assert table.tied[q] == cost.count(min(cost))
        wins = [
            (a < b) + 0.5 * (a == b)
            for a, x in zip(cost, right, strict=True)
            if x
            for b, y in zip(cost, right, strict=True)
            if not y
        ]
        assert table.pairs[q] == len(wins)
        assert table.wins[q] == pytest.approx(sum(wins))
        if any(right):
            runs = [next(i for i, row in enumerate(o, 1) if right[row]) for o in ways]
            assert table.first_pass[q] == pytest.approx(np.mean(runs))
        else:
            assert np.isnan(table.first_pass[q])


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.4, 0.9]), st.booleans(), st.floats(0.1, 3)), min_size=2))
def test_costfield_pooled_auroc_matches_all_pairs(rows: list[tuple[float, bool, float]]) -> None:
    cost, right, weight = (np.array(column) for column in zip(*rows, strict=True))
    if right.all() or not right.any():
        with pytest.raises(ValueError, match="both right and wrong"):
            metrics.pooled_auroc(cost, right, weight)
        return
    better = (cost[:, None] < cost[None, :])[np.ix_(right, ~right)] + 0.5 * (cost[:, None] == cost[None, :])[
        np.ix_(right, ~right)
    ]
    pairs = weight[right][:, None] * weight[~right][None, :]
    assert metrics.pooled_auroc(cost, right, weight) == pytest.approx((better * pairs).sum() / pairs.sum())


def test_costfield_constant_cost_is_chance_exactly() -> None:
    rng = np.random.default_rng(0)
    passed, problem = rng.random(600) < 0.4, np.repeat(np.arange(100), 6)
    table = by_problem(np.full(600, 3.7), passed, problem)
    assert metrics.selection_accuracy(table) == metrics.random_accuracy(table)
    assert metrics.within_auroc(table) == metrics.within_auroc_pairs(table) == 0.5
    assert metrics.gap_closed(table) == 0


def test_costfield_knowing_only_difficulty_looks_good_pooled_and_is_worth_nothing() -> None:
    rng = np.random.default_rng(1)
    rate = rng.random(300)
    problem = np.repeat(np.arange(300), 6)
    passed = rng.random(1800) < rate[problem]
    table = by_problem(-rate[problem], passed, problem)
    assert metrics.pooled_auroc(-rate[problem], passed) > 0.8
    assert metrics.within_auroc(table) == 0.5
    assert metrics.gap_closed(table) == 0


def test_costfield_oracle_and_its_reverse() -> None:
    passed = np.array([1, 0, 0, 1, 1, 0], bool)
    problem = ["a", "a", "a", "b", "b", "b"]
    best, worst = by_problem(~passed, passed, problem), by_problem(passed, passed, problem)
    assert (metrics.selection_accuracy(best), metrics.gap_closed(best), metrics.within_auroc(best)) == (1, 1, 1)
    assert (metrics.selection_accuracy(worst), metrics.within_auroc(worst)) == (0, 0)
    assert metrics.first_pass_rank(best) == 1
    assert metrics.first_pass_rank(worst) == pytest.approx((3 + 2) / 2)
    assert metrics.random_accuracy(best) == pytest.approx((1 / 3 + 2 / 3) / 2)


def test_costfield_macro_and_pair_weighted_auroc_differ_as_they_should() -> None:
    passed = np.array([1, 0, 1, 1, 0, 0], bool)
    cost = np.array([0, 1, 5, 5, 1, 1], float)  # a: right; b: all four pairs wrong
    table = by_problem(cost, passed, ["a", "a", "b", "b", "b", "b"])
    assert metrics.within_auroc(table) == 0.5
    assert metrics.within_auroc_pairs(table) == pytest.approx(1 / 5)


def test_costfield_an_unscored_candidate_is_last_and_nan_is_refused() -> None:
    table = by_problem([np.inf, 5.0], [True, False], ["a", "a"])
    assert table.selected.tolist() == [0]
    with pytest.raises(ValueError, match="NaN"):
        by_problem([np.nan, 5.0], [True, False], ["a", "a"])


def test_costfield_selection_without_mixed_problems_is_refused() -> None:
    table = by_problem([1.0, 2.0], [True, True], ["a", "a"])
    for metric in (metrics.selection_accuracy, metrics.random_accuracy, metrics.gap_closed, metrics.within_auroc):
        with pytest.raises(ValueError, match="both right and wrong"):
            metric(table)
    with pytest.raises(ValueError, match="no problem has a right"):
        metrics.first_pass_rank(by_problem([1.0], [False], ["a"]))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=30, max_size=60, unique_by=lambda r: r[0]))
def test_costfield_ece_matches_bins_cut_by_hand(rows: list[tuple[float, bool]]) -> None:
    rows = rows[: len(rows) // 15 * 15]
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    parts = np.argsort(p).reshape(15, -1)
    by_hand = np.mean([abs(p[part].mean() - y[part].mean()) for part in parts])
    assert metrics.ece(p, y) == pytest.approx(by_hand)
    assert metrics.brier(p, y) == pytest.approx(np.mean([(a - b) ** 2 for a, b in rows]))


def test_costfield_integer_weights_count_like_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    p, y, w = rng.random(40), rng.random(40) < 0.5, rng.integers(1, 4, 40)
    again = np.repeat(np.arange(40), w)
    assert metrics.brier(p, y, w) == pytest.approx(metrics.brier(p[again], y[again]))
    assert metrics.pooled_auroc(-p, y, w) == pytest.approx(metrics.pooled_auroc(-p[again], y[again]))
    assert sum(b.share for b in metrics.reliability(p, y, w)) == pytest.approx(1)


def test_costfield_calibrated_probabilities_have_a_small_ece_and_shifted_ones_the_shift() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0.1, 0.6, 40_000)
    y = rng.random(40_000) < p
    assert metrics.ece(p, y) < 0.015
    assert metrics.ece(p + 0.3, y) == pytest.approx(0.3, abs=0.01)


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_costfield_risk_coverage_matches_every_order_of_ties(rows: list[tuple[float, bool]]) -> None:
    p, right = [r[0] for r in rows], [r[1] for r in rows]
    ways = orders([-x for x in p])
    risks = [[np.mean([not right[row] for row in o[:c]]) for c in range(1, len(rows) + 1)] for o in ways]
    coverage, risk = metrics.risk_coverage(p, right)
    assert risk == pytest.approx(np.mean(risks, axis=0))
    assert coverage[-1] == 1
    assert metrics.aurc(p, right) == pytest.approx(np.mean(risks))
