"""One token out of a row of logits: the distribution it comes from, and what its probability was."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.llm.sampling import draw, log_probability

LOGITS = np.array([2.0, 1.0, 0.5, 0.0, -1.0, -30.0], dtype=np.float32)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    return weights / weights.sum()


def counts(n: int, temperature: float, top_p: float = 1.0) -> np.ndarray:
    rng, logits = np.random.default_rng(0), LOGITS.copy()
    return np.bincount([draw(logits, temperature, top_p, rng)[0] for _ in range(n)], minlength=len(LOGITS))


def chi_square(seen: np.ndarray, expected: np.ndarray) -> float:
    return float(((seen - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_their_probability_says(temperature: float) -> None:
    n = 20_000
    seen, expected = counts(n, temperature)[:5], n * softmax(LOGITS, temperature)[:5]
    assert chi_square(seen, expected) < 18.5  # the 0.999 quantile at 4 degrees of freedom
    assert chi_square(seen, n * softmax(LOGITS, temperature * 1.2)[:5]) > 18.5  # and would see a wrong temperature


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    probabilities = softmax(LOGITS)
    top_p = float(probabilities[:2].sum()) + 0.01  # two tokens do not reach it, three do
    seen = counts(6_000, 1.0, top_p)
    assert (seen[:3] > 0).all() and seen[3:].sum() == 0
    kept = probabilities[:3] / probabilities[:3].sum()
    assert chi_square(seen[:3], 6_000 * kept) < 13.8  # the 0.999 quantile at 2 degrees of freedom
    assert counts(50, 1.0, 1e-6)[0] == 50


def test_temperature_zero_takes_the_likeliest() -> None:
    assert counts(20, 0.0)[0] == 20


def test_the_log_probability_is_that_at_temperature_one() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 5, 1_000).astype(np.float32)
    expected = np.log(softmax(logits))
    for temperature in (0.0, 0.3, 2.0):
        token, own, other = draw(logits, temperature, 0.9, rng)
        assert own == pytest.approx(expected[token], abs=1e-5)
        assert other == pytest.approx(np.delete(expected, token).max(), abs=1e-5)


def test_the_runner_up_of_the_likeliest_is_the_second_and_else_the_likeliest() -> None:
    expected = np.log(softmax(LOGITS))
    assert log_probability(LOGITS.copy(), 0) == pytest.approx((expected[0], expected[1]), abs=1e-6)
    assert log_probability(LOGITS.copy(), 3) == pytest.approx((expected[3], expected[0]), abs=1e-6)


def test_great_logits_do_not_overflow_and_the_row_is_left_as_it_was() -> None:
    logits = np.array([3e4, 2.9e4, -np.inf], dtype=np.float32)
    before = logits.copy()
    token, own, other = draw(logits, 1.0, 0.9, np.random.default_rng(0))
    assert (token, own, other) == (0, 0.0, -1000.0)
    np.testing.assert_array_equal(logits, before)


def test_equal_seeds_draw_equal_tokens() -> None:
    def drawn(seed: int) -> list[int]:
        rng, logits = np.random.default_rng(seed), LOGITS.copy()
        return [draw(logits, 1.0, 1.0, rng)[0] for _ in range(50)]

    assert drawn(3) == drawn(3) != drawn(4)
