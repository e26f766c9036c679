"""What every policy owes the loop: it ends, it keeps to the budget, it runs nothing twice, and it is a function."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from atlas.evals.replayed import Within
from atlas.policy import ExpectedCost, FixedRounds
from atlas.protocols import Generate, Policy, Position, Run, Stop
from atlas.solver import attempt_for
from atlas.types import Attempt, Budget, Ranked, Usage
from costfield.siblings import Siblings
from tests.support.domain import candidate, verdict

SIBLINGS = Siblings(task=2.5, own=0.8)
CAREFUL = ExpectedCost(siblings=SIBLINGS, run_price=0.1, token_price=0.2, least_p_pass=0.3)
POLICIES: dict[str, Callable[[], Policy]] = {
    "rounds": FixedRounds,
    "rounds with a bar": lambda: FixedRounds(least_p_pass=0.5),
    "expected cost": lambda: ExpectedCost(siblings=SIBLINGS, run_price=0.02, token_price=0.05),
    "expected cost for nothing": lambda: ExpectedCost(siblings=SIBLINGS, run_price=0.0, token_price=0.0, group=3),
    "expected cost with a bar": lambda: CAREFUL,
    "expected cost within a pool": lambda: Within(policy=CAREFUL, k=5),
}


def game(policy: Policy, seed: int) -> tuple[list[Attempt], Budget, list[str]]:
    """A task played to its end: chances, answers without programs and verdicts are drawn."""
    draw = random.Random(seed)
    budget = Budget(
        rounds=draw.randint(1, 4), candidates=draw.randint(1, 5), sandbox_runs=draw.randint(1, 4),
        tokens=draw.choice([50, 500, 10**6]),
    )
    scored, attempts, ran = draw.random() < 0.8, [], []
    for _ in range(200):
        position = Position(attempts=attempts, budget=budget, checked=draw.random() < 0.8)
        move = policy.next(position)
        assert policy.next(position) == move, "the same position gets the same move"
        if isinstance(move, Stop):
            assert move.reason
            return attempts, budget, ran
        attempt = attempt_for(move, attempts)
        if isinstance(move, Generate):
            assert 1 <= move.n and move.round_ == attempt.round
            assert sum(a.usage.total for a in attempts) < budget.tokens, "asked for with nothing left to pay"
            begin = sum(attempt.asked)
            attempt.asked.append(move.n)
            attempt.usage += Usage(prompt_tokens=10, completion_tokens=20 * move.n)
            fresh = [candidate(f"x = {attempt.round}, {begin + i}", begin + i) for i in range(move.n)]
            attempt.candidates = [*attempt.candidates, *(c for c in fresh if draw.random() < 0.9)]
            chances = {c.digest: draw.random() if scored and draw.random() < 0.9 else None for c in attempt.candidates}
            attempt.ranked = sorted(
                (Ranked(candidate=c, cost=None, p_pass=chances[c.digest]) for c in attempt.candidates),
                key=lambda r: -(r.p_pass or 0),
            )
        else:
            attempt.ranked = move.ranked
            ran.append(move.ranked[0].candidate.digest)
            attempt.verdict = verdict("PASS" if draw.random() < 0.2 else "FAIL")
            if attempt.passed:
                assert isinstance(policy.next(position), Stop), "a program passed, and it goes on"
    raise AssertionError("it does not end")


@pytest.mark.parametrize("name", POLICIES)
def test_it_ends_within_the_budget_and_runs_nothing_twice(name: str) -> None:
    made = POLICIES[name]()
    assert isinstance(made, Policy) and made.name
    for seed in range(60):
        attempts, budget, ran = game(made, seed)
        assert len(ran) == len(set(ran)) <= budget.sandbox_runs
        assert {a.round for a in attempts} == set(range(max((a.round for a in attempts), default=-1) + 1))
        assert len({a.round for a in attempts}) <= budget.rounds
        for round_ in {a.round for a in attempts}:
            assert sum(sum(a.asked) for a in attempts if a.round == round_) <= budget.candidates


@pytest.mark.parametrize("name", POLICIES)
def test_its_first_move_is_to_ask(name: str) -> None:
    move = POLICIES[name]().next(Position(attempts=(), budget=Budget(), checked=True))
    assert isinstance(move, Generate) and move.round_ == 0 and not isinstance(move, Run)
