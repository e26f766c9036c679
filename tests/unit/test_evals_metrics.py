"""pass@k against its definition, Wilson's interval against published figures."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.evals.metrics import pass_at_k, solved_within, wilson
from costfield.metrics import by_problem


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_is_its_closed_form_and_its_definition(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            ways = list(combinations(range(n), k))
            share = sum(any(i < c for i in way) for way in ways) / len(ways)
            closed = 1 - comb(n - c, k) / comb(n, k)
            assert pass_at_k(n, c, k)[0] == pytest.approx(share, abs=1e-12)
            assert pass_at_k(n, c, k)[0] == pytest.approx(closed, abs=1e-12)


def test_pass_at_k_of_many_samples_neither_overflows_nor_loses_its_digits() -> None:
    assert pass_at_k(2000, 3, 100)[0] == pytest.approx(1 - comb(1997, 100) / comb(2000, 100), rel=1e-12)


def test_pass_at_1_is_the_share_of_right_samples() -> None:
    np.testing.assert_allclose(pass_at_k([4, 4, 8], [1, 4, 2], 1), [0.25, 1.0, 0.25])


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_pass_at_k_refuses_what_it_is_not_defined_for(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match=r"pass@|samples"):
        pass_at_k(n, c, k)


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 gives .2553 to .3662, 0 of 20 gives 0 to .1611.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 4), (5, 4)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, np.inf]), st.booleans(), st.integers(0, 2)), min_size=1, max_size=12
).filter(lambda rows: all(sum(row[2] == q for row in rows) <= 5 for q in range(3)))


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_solved_within_is_the_share_of_orders_of_ties_that_solve(rows: list[tuple[float, bool, int]]) -> None:
    cost, right, problem = zip(*rows, strict=True)
    solved = solved_within(cost, right, problem, 3, 6)
    for q in range(3):
        own = [(c, r) for c, r, p in rows if p == q]
        ways = [o for o in permutations(range(len(own))) if all(own[a][0] <= own[b][0] for a, b in pairwise(o))]
        for runs in range(1, 7):
            share = np.mean([any(own[i][1] for i in way[:runs]) for way in ways]) if own else 0.0
            assert solved[q, runs - 1] == pytest.approx(share, abs=1e-12)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_the_curve_agrees_with_the_table_of_problems(rows: list[tuple[float, bool, int]]) -> None:
    """Two ways to the same two figures: the cheapest is right, and E[runs] = Σ P(not yet solved)."""
    cost, right, problem = zip(*rows, strict=True)
    table, solved = by_problem(cost, right, problem), solved_within(cost, right, problem, 3, 6)
    for q, selected, ranks in zip(table.problem.astype(int), table.selected, table.first_pass, strict=True):
        assert solved[q, 0] == pytest.approx(selected)
        assert np.isnan(ranks) == (solved[q, -1] == 0)
        if solved[q, -1]:
            assert 1 + (1 - solved[q]).sum() == pytest.approx(ranks)
