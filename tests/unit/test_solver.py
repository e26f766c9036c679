"""The loop: what it asks, what it runs, when it ends, and how."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from atlas.errors import ModelUnavailable, RankingError, SolveInterrupted
from atlas.prompts import STOP
from atlas.protocols import Generate, Move, Position, Run, Stop
from atlas.rank import baseline
from atlas.solver import Solver, Warming
from atlas.types import Budget, Status
from sandbox.errors import InvalidCheck, SandboxUnavailable
from tests.support.domain import TASK, ScriptLLM, ScriptSandbox, code, verdict

pytestmark = pytest.mark.anyio

WRONG, OTHER, RIGHT = code("x = 'wrong'"), code("x = 'other'"), code("x = 'right'")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def solver(*rounds: list[str] | Exception, sandbox: ScriptSandbox | None = None, **changes: Any) -> Any:
    budget = Budget(**({"candidates": 2, "rounds": 3, "seconds": 30} | changes.pop("budget", {})))
    fields = {
        "llm": ScriptLLM(rounds=rounds), "ranker": baseline("first"), "sandbox": sandbox or ScriptSandbox(),
        "budget": budget, **changes,
    }
    return Solver(**fields)


async def test_the_first_program_that_passes_ends_it() -> None:
    made = solver([RIGHT, WRONG])
    solution = await made.solve(TASK)
    assert solution.status is Status.VERIFIED and solution.program.source == "x = 'right'\n"
    assert len(made.llm.asked) == len(made.sandbox.runs) == solution.sandbox_runs == 1
    assert solution.usage.total == 30
    assert {"generate", "rank", "sandbox"} == set(solution.attempts[0].seconds)


async def test_only_the_cheapest_is_run_and_its_failure_is_fed_back() -> None:
    made = solver([WRONG, OTHER], [RIGHT])
    assert (await made.solve(TASK)).status is Status.VERIFIED
    assert made.sandbox.runs == ["x = 'wrong'\n", "x = 'right'\n"]
    first, second = (messages for messages, _ in made.llm.asked)
    assert len(first) == 2 and len(second) == 4
    assert "x = 'wrong'" in second[2].content and "ACTUAL" in second[3].content and "STDERR" in second[3].content


async def test_a_program_that_was_run_is_not_run_again() -> None:
    made = solver([WRONG], [WRONG, OTHER], [WRONG])
    solution = await made.solve(TASK)
    assert made.sandbox.runs == ["x = 'wrong'\n", "x = 'other'\n"]
    assert solution.status is Status.UNSOLVED and solution.program.source == "x = 'other'\n"
    assert solution.attempts[2].candidates == []


async def test_temperature_rises_and_seeds_do_not_overlap() -> None:
    made = solver([WRONG], seed=7, temperature=Warming(start=0.8, step=0.3, ceiling=1.2), max_tokens=99)
    await made.solve(TASK)
    asked = [sampling for _, sampling in made.llm.asked]
    assert [s.temperature for s in asked] == pytest.approx([0.8, 1.1, 1.2])
    assert [s.seed for s in asked] == [7, 1007, 2007]
    assert {(s.n, s.max_tokens, s.stop) for s in asked} == {(2, 99, STOP)}
    assert [s.greedy_first for s in asked] == [True, False, False]


async def test_the_likeliest_completion_comes_first_unless_it_is_not_wanted() -> None:
    made = solver([WRONG], temperature=Warming(greedy_first=False))
    await made.solve(TASK)
    assert not any(sampling.greedy_first for _, sampling in made.llm.asked)


def test_a_temperature_above_the_ceiling_is_kept() -> None:
    assert [Warming(start=1.5).at(i) for i in range(3)] == [1.5] * 3


@pytest.mark.parametrize(("budget", "rounds"), [({"rounds": 2}, 2), ({"tokens": 35}, 2), ({"sandbox_runs": 1}, 1)])
async def test_the_budget_ends_it(budget: dict[str, int], rounds: int) -> None:
    made = solver([WRONG, WRONG], [OTHER, OTHER], [RIGHT], budget=budget)
    solution = await made.solve(TASK)
    assert len(solution.attempts) == rounds and solution.status is Status.UNSOLVED


async def test_the_deadline_keeps_what_was_paid_for() -> None:
    made = solver([WRONG], sandbox=ScriptSandbox(seconds=20), budget={"seconds": 0.2})
    begun = time.monotonic()
    solution = await made.solve(TASK)
    assert time.monotonic() - begun < 5
    assert solution.status is Status.TIMED_OUT
    (attempt,) = solution.attempts
    assert attempt.verdict is None and attempt.pick is not None and attempt.usage.total == 20
    assert attempt.seconds["sandbox"] > 0


@dataclass
class Script:
    """A policy that follows a list; a number asks for so many in the last attempt's round, "next" in another."""

    moves: list[int | str]
    name: str = "script"

    def next(self, position: Position) -> Move:
        last = position.attempts[-1] if position.attempts else None
        round_ = last.round if last else 0
        match self.moves.pop(0):
            case int(n):
                return Generate(n=n, round_=round_)
            case "next":
                return Generate(n=1, round_=round_ + 1)
            case "run":
                assert last is not None
                return Run(ranked=[r for r in last.ranked if last.verdict is None or r is not last.ranked[0]])
            case why:
                return Stop(reason=str(why))


async def test_a_round_grows_in_groups_with_seeds_that_count_on_and_copies_that_are_merged() -> None:
    made = solver([WRONG, OTHER], [OTHER, RIGHT], policy=Script([2, 2, "enough"]))
    solution = await made.solve(TASK)
    (attempt,) = solution.attempts
    assert [(s.seed, s.n) for _, s in made.llm.asked] == [(0, 2), (2, 2)] and attempt.asked == [2, 2]
    assert [(c.index, c.copies) for c in attempt.candidates] == [(0, 1), (1, 2), (3, 1)]
    assert [r.candidate for r in attempt.ranked] == attempt.candidates and attempt.usage.total == 60
    assert solution.status is Status.UNSOLVED and solution.reason == "enough"


async def test_the_second_is_run_as_an_attempt_of_its_own_that_asks_for_nothing() -> None:
    made = solver([WRONG, OTHER], [RIGHT], policy=Script([2, "run", "run", "next", "run", "done"]))
    solution = await made.solve(TASK)
    assert made.sandbox.runs == ["x = 'wrong'\n", "x = 'other'\n", "x = 'right'\n"]
    assert [(a.round, a.asked, len(a.candidates)) for a in solution.attempts] == [(0, [2], 2), (0, [], 0), (1, [1], 1)]
    assert len(made.llm.asked[1][0]) == 6, "both failures are shown"
    assert solution.status is Status.VERIFIED


async def test_a_program_that_was_not_likely_enough_to_be_run_is_not_handed_out() -> None:
    solution = await solver([WRONG], policy=Script([1, "nothing is likely to pass"])).solve(TASK)
    assert solution.status is Status.UNSOLVED and solution.program is None and solution.sandbox_runs == 0
    assert solution.reason == "nothing is likely to pass"
    ran = await solver([WRONG], [OTHER], policy=Script([1, "run", "next", "enough"])).solve(TASK)
    assert ran.program is not None and ran.program.source == "x = 'wrong'\n"


async def test_an_answer_without_code_costs_a_round_and_no_run() -> None:
    made = solver(["I cannot."], [RIGHT])
    solution = await made.solve(TASK)
    assert solution.status is Status.VERIFIED and len(solution.attempts) == 2 and solution.sandbox_runs == 1
    assert (await solver(["no"]).solve(TASK)).program is None


async def test_without_checks_a_program_that_loads_is_unchecked_and_never_verified() -> None:
    task = TASK.model_copy(update={"checks": ()})
    solution = await solver([RIGHT]).solve(task)  # the sandbox reports that it was loaded, as one result
    assert solution.status is Status.UNCHECKED and solution.program is not None and solution.sandbox_runs == 1
    assert (await solver([WRONG]).solve(task)).status is Status.UNSOLVED


FAILURES = {
    "the model is down": ({"rounds": ModelUnavailable("down")}, "down"),
    "the sandbox is down": ({"sandbox": SandboxUnavailable("no engine")}, "no engine"),
    "the verdict is our own failure": ({"sandbox": verdict("SANDBOX_ERROR", message="no container")}, "no container"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_infrastructure_that_fails_ends_it_with_what_there_is(name: str) -> None:
    what, words = FAILURES[name]
    made = solver([WRONG], what.get("rounds", [RIGHT]))
    if "sandbox" in what:
        made = solver([WRONG], sandbox=ScriptSandbox(answer=what["sandbox"]))
    with pytest.raises(SolveInterrupted, match=words) as ended:
        await made.solve(TASK)
    solution = ended.value.solution
    assert solution.status is Status.INTERRUPTED and solution.program.source == "x = 'wrong'\n"
    assert ended.value.__cause__ is not None
    assert solution.sandbox_runs == (1 if "rounds" in what else 0)  # our own failure is no verdict


async def test_a_ranker_that_fails_ends_it_and_keeps_the_candidates() -> None:
    class Broken:
        name = "broken"

        async def rank(self, task: object, candidates: object) -> object:
            raise RankingError("not finite")

    with pytest.raises(SolveInterrupted, match="not finite") as ended:
        await solver([WRONG, OTHER], ranker=Broken()).solve(TASK)
    assert len(ended.value.solution.attempts[0].candidates) == 2


async def test_a_check_that_cannot_be_read_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidCheck, match="check 1"):
        await solver([RIGHT], sandbox=ScriptSandbox(answer=InvalidCheck("check 1"))).solve(TASK)


async def test_cancelling_it_reaches_what_runs() -> None:
    made = solver([WRONG], sandbox=ScriptSandbox(seconds=20))
    ended = []

    async def solve() -> None:
        try:
            await made.solve(TASK)
        except anyio.get_cancelled_exc_class():
            ended.append("cancelled")
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(solve)
        with anyio.fail_after(10):
            while not made.sandbox.runs:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert ended == ["cancelled"]
