"""What is worth doing next: indices by hand, and decisions that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.policy import ExpectedCost, FixedRounds, index_of_asking, index_of_running
from atlas.protocols import Generate, Position, Run, Stop
from atlas.types import Attempt, Budget, Ranked, Usage
from costfield.siblings import Siblings
from tests.support.domain import candidate, verdict

ALONE = Siblings(task=0.0, own=0.5)  # a failure says nothing of the others
SHARED = Siblings(task=3.0, own=0.5)
CHANCES = st.floats(0.001, 0.999)


def attempt(*p: float | None, failed: bool = False, round_: int = 0, tag: str = "", passed: bool = False) -> Attempt:
    """A round of candidates with these P(pass), likeliest first; of 100 tokens each and a prompt of 100."""
    made = [candidate(f"x = '{round_}{tag}{i}'", i) for i in range(len(p))]
    ranked = [Ranked(candidate=c, cost=None if q is None else -q, p_pass=q) for c, q in zip(made, p, strict=True)]
    found = verdict("PASS" if passed else "FAIL") if failed or passed else None
    usage = Usage(prompt_tokens=100, completion_tokens=100 * len(p))
    return Attempt(round=round_, asked=[len(p)], candidates=made, ranked=ranked, verdict=found, usage=usage)


def position(*attempts: Attempt, checked: bool = True, **budget: Any) -> Position:
    fields = {"rounds": 3, "candidates": 4, "sandbox_runs": 8, **budget}
    return Position(attempts=attempts, budget=Budget(**fields), checked=checked)


def policy(siblings: Siblings = ALONE, **changes: Any) -> ExpectedCost:
    return ExpectedCost(**{"siblings": siblings, "run_price": 0.01, "token_price": 0.5, "group": 1, **changes})


@pytest.mark.parametrize(
    ("p", "price", "false_pass", "index"),
    [
        (0.5, 0.01, 0.0, 0.98), (0.3, 0.01, 0.0, 1 - 0.01 / 0.3), (0.5, 0.5, 0.0, 0.0), (0.3, 0.5, 0.0, -2 / 3),
        (0.5, 0.1, 1.0, 0.4),  # without checks: what it is likely to be, less the price
        (0.5, 0.1, 0.5, 0.4 / 0.75),
    ],
)
def test_the_index_of_running_by_hand(p: float, price: float, false_pass: float, index: float) -> None:
    assert index_of_running(p, price, false_pass) == pytest.approx(index)


def test_the_index_of_asking_by_hand() -> None:
    # One chance of .35: (.35 (1 - z) - .01) = .20, so z = 1 - .21 / .35.
    assert index_of_asking([0.35], 0.20, 0.01, 0.0) == pytest.approx(0.4)
    # Two equally likely ones: half the time nothing (.1 (1 - z) < .05), half the time .9 (1 - z) - .05; of price .2.
    assert index_of_asking([0.1, 0.9], 0.20, 0.05, 0.0) == pytest.approx(0.5)
    # Without checks: half of max(0, .8 - z) and half of max(0, .4 - z), of price .1.
    assert index_of_asking([0.8, 0.4], 0.10, 0.0, 1.0) == pytest.approx(0.6)
    assert index_of_asking([0.35], 0.20, 0.5, 0.0) == -math.inf
    assert index_of_asking([0.35], 0.34, 0.0, 0.0) == pytest.approx(1 - 0.34 / 0.35)


@given(st.lists(CHANCES, min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 0.9), st.floats(0, 1))
def test_an_index_solves_its_equation(p: list[float], price: float, run_price: float, false_pass: float) -> None:
    z = index_of_asking(p, price, run_price, false_pass)
    chances = np.array(p)
    q = chances + (1 - chances) * false_pass

    def gain(sure: float) -> float:
        return float(np.maximum(0, chances - run_price - q * sure).mean())

    assert (z == -math.inf and gain(0.0) <= price) or gain(z + 1e-9) <= price + 1e-9
    assert z == -math.inf or gain(max(z - 1e-6, 0)) >= price - 1e-9


def test_the_example_of_cheap_runs_runs_both_and_only_then_asks() -> None:
    """P(pass) .5 and .3, a run .01, a candidate .2 (400 tokens at .5 a thousand)."""
    made = policy(token_price=1.0)
    first = attempt(0.5, 0.3)
    move = made.next(position(first))
    assert isinstance(move, Run) and [r.p_pass for r in move.ranked] == [0.5, 0.3]
    first.verdict = verdict("FAIL")
    move = made.next(position(first))
    assert isinstance(move, Run) and [r.p_pass for r in move.ranked] == [0.3]
    second = Attempt(round=0, ranked=move.ranked, verdict=verdict("FAIL"))
    assert made.next(position(first, second)) == Generate(n=1, round_=1)


def test_where_runs_are_dear_nothing_is_run() -> None:
    made = policy(run_price=0.6, token_price=2.0)
    move = made.next(position(attempt(0.5, 0.3)))
    assert isinstance(move, Stop) and "0.50" in move.reason and "not worth its tokens" in move.reason


def test_a_failure_makes_the_sibling_worth_less_than_an_answer() -> None:
    first = attempt(0.6, 0.4, failed=True)
    assert isinstance(policy(ALONE, run_price=0.2).next(position(first)), Run)
    assert isinstance(policy(SHARED, run_price=0.2, token_price=5.0).next(position(first)), Stop)
    asks = policy(SHARED, run_price=0.02, token_price=0.0, group=4).next(position(first))
    assert asks == Generate(n=4, round_=1)


def test_more_of_a_round_is_asked_for_in_groups_up_to_its_size() -> None:
    made = policy(run_price=0.35, token_price=0.01, group=3)
    assert made.next(position()) == Generate(n=3, round_=0)
    assert made.next(position(attempt(0.3, 0.2, 0.1))) == Generate(n=1, round_=0)
    assert made.next(position(attempt(0.3, 0.3, 0.2, 0.1))) == Generate(n=3, round_=1)
    assert isinstance(made.next(position(attempt(0.3, 0.3, 0.2, 0.1), rounds=1)), Stop)


def test_without_checks_more_are_written_for_a_better_choice_and_one_is_run() -> None:
    """A run cannot tell right from wrong, so a second choice is no way out and a better first one is."""
    made = policy(token_price=0.02, run_price=0.01)
    seen = attempt(0.5)
    assert isinstance(made.next(position(seen)), Run)
    assert made.next(position(seen, checked=False)) == Generate(n=1, round_=0)


def test_below_the_bar_nothing_is_run_and_the_reason_says_so() -> None:
    unlikely = attempt(0.3, 0.2, 0.1, 0.1)
    for made in (FixedRounds(least_p_pass=0.4), policy(least_p_pass=0.4, token_price=0.1)):
        assert isinstance(made.next(position(unlikely)), Generate)
        assert isinstance(made.next(position(unlikely, rounds=1)), Stop)
    assert isinstance(FixedRounds(least_p_pass=0.3).next(position(unlikely)), Run)
    assert isinstance(FixedRounds(least_p_pass=0.4).next(position(attempt(None))), Generate)


def test_candidates_without_a_chance_are_left_alone_where_others_have_one() -> None:
    move = policy().next(position(attempt(0.5, None)))
    assert isinstance(move, Run) and [r.p_pass for r in move.ranked] == [0.5]
    unscored = attempt(None, None)
    assert policy().next(position(unscored)) == Run(ranked=unscored.ranked)  # rounds decide where none has one


def test_an_answer_without_a_program_is_followed_by_another_request() -> None:
    assert policy().next(position(attempt())) == Generate(n=1, round_=0)
    spent = policy().next(position(Attempt(round=2, asked=[4])))
    assert isinstance(spent, Stop) and "3 rounds" in spent.reason


@given(CHANCES, st.lists(CHANCES, max_size=3), st.floats(0, 1), st.floats(0.001, 5))
def test_a_certain_candidate_is_run_at_once(
    p: float, others: list[float], run_price: float, token_price: float
) -> None:
    made = policy(run_price=min(run_price, 0.99), token_price=token_price)
    move = made.next(position(attempt(1.0, p, *others)))
    assert isinstance(move, Run) and move.ranked[0].p_pass == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 0.04), min_size=1, max_size=4), st.floats(0, 5), st.booleans())
def test_a_hopeless_one_is_never_run(p: list[float], token_price: float, checked: bool) -> None:
    made = policy(SHARED, run_price=0.05, token_price=token_price)
    assert not isinstance(made.next(position(attempt(*sorted(p, reverse=True)), checked=checked)), Run)


@settings(max_examples=50, deadline=None)
@given(st.lists(CHANCES, min_size=2, max_size=4), st.floats(0, 1), st.floats(0, 0.5))
def test_dearer_tokens_never_make_it_ask_where_it_ran(p: list[float], token_price: float, run_price: float) -> None:
    at: Sequence[Attempt] = [attempt(*sorted(p, reverse=True))]
    cheap = policy(SHARED, run_price=run_price, token_price=token_price).next(position(*at))
    dear = policy(SHARED, run_price=run_price, token_price=token_price + 1).next(position(*at))
    assert not (isinstance(cheap, Run) and isinstance(dear, Generate))


@pytest.mark.parametrize("policy", [FixedRounds(), policy()], ids=lambda policy: policy.name)
def test_a_budget_spent_on_answers_without_a_program_is_said_to_be(policy: FixedRounds | ExpectedCost) -> None:
    silent = [Attempt(round=i, asked=[4], usage=Usage(prompt_tokens=100, completion_tokens=400)) for i in range(3)]
    move = policy.next(position(*silent))
    assert isinstance(move, Stop)
    assert "no answer of the model held a program, and 3 rounds are all that the budget allows" in move.reason
    tried = policy.next(position(attempt(0.5, failed=True), *silent[1:]))
    assert isinstance(tried, Stop) and "no answer" not in tried.reason
