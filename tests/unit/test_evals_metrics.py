"""pass@k against its definition, Wilson's interval against published figures."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from atlas.evals.metrics import pass_at_k, wilson


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
