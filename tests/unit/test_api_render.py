"""What is told of an attempt that runs an earlier round's second choice."""

from __future__ import annotations

from api.render import result_of
from atlas.types import Attempt, Ranked, Solution
from tests.support.domain import TASK, candidate, verdict


def test_a_second_choice_is_shown_with_the_attempt_that_ran_it() -> None:
    first, second = candidate("x = 1", 0), candidate("x = 2", 1)
    ranked = [Ranked(candidate=first, cost=0.1, p_pass=0.5), Ranked(candidate=second, cost=0.2, p_pass=0.4)]
    attempts = [
        Attempt(round=0, asked=[2], candidates=[first, second], ranked=ranked, verdict=verdict("FAIL")),
        Attempt(round=0, ranked=ranked[1:], verdict=verdict("PASS")),
    ]
    told = result_of(Solution.of(TASK, attempts), 1, {})
    assert told.program == "x = 2" and told.verdict is not None and told.verdict.passed
    assert [[c.index for c in a.candidates if c.picked] for a in told.attempts] == [[0], [1]]
    assert [len(a.candidates) for a in told.attempts] == [2, 1]
    assert told.attempts[1].candidates[0].rank == 1
