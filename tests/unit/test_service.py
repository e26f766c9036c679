"""The loop composed anew for each task, and proof that its parts work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atlas.errors import ModelUnavailable
from atlas.rank import BASELINES, baseline
from atlas.service import Service
from atlas.solver import Solver
from atlas.types import Budget, CallCheck, Status
from sandbox.errors import SandboxUnavailable
from tests.support.domain import CAN, TASK, ScriptLLM, ScriptSandbox, code, verdict

pytestmark = pytest.mark.anyio

SECRET = "hidden_secret_31337"
HIDDEN = (CallCheck(call=f"f('{SECRET}')", expected=f"'{SECRET}'"),)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def service(*rounds: list[str], sandbox: ScriptSandbox | None = None, ranker: str = "first") -> Service:
    solver = Solver(
        llm=ScriptLLM(rounds=rounds or [[code("x = 'wrong'")], [code("x = 'other'")]]), ranker=baseline(ranker),
        sandbox=sandbox or ScriptSandbox(), budget=Budget(rounds=2, candidates=1),
    )
    return Service(base=solver, info={"model": "fake"})


async def test_no_prompt_no_event_and_no_solution_holds_a_hidden_check() -> None:
    events, made = [], service()
    solution = await made.solve(TASK, hidden=HIDDEN, observe=events.append)
    sandbox, llm = made.base.sandbox, made.base.llm
    assert isinstance(sandbox, ScriptSandbox) and isinstance(llm, ScriptLLM)
    assert sandbox.checks[0] == (*TASK.checks, *HIDDEN)  # they were run
    asked = "".join(m.content for messages, _ in llm.asked for m in messages)
    assert len(llm.asked) == 2 and "not shown" in asked
    assert SECRET not in asked and SECRET not in repr(events) and SECRET not in repr(solution.attempts)
    assert solution.status is Status.UNSOLVED


async def test_hidden_checks_alone_make_a_program_verified() -> None:
    task = TASK.model_copy(update={"checks": ()})
    made = service([code("x = 'right'")])
    assert (await made.solve(task, hidden=HIDDEN)).status is Status.VERIFIED
    assert (await made.solve(task)).status is Status.UNCHECKED


async def test_events_come_in_the_order_of_the_loop() -> None:
    events: list[str] = []
    await service([code("x = 'right'")]).solve(TASK, observe=lambda event: events.append(event.name))
    assert events == [
        "generation.started", "generation.finished", "candidates.ranked", "sandbox.started", "sandbox.finished",
    ]


async def test_budget_and_seed_belong_to_the_task_and_leave_the_service_as_it_was() -> None:
    made = service()
    assert made.solver is made and made.budget.rounds == 2
    solution = await made.solve(TASK, budget=Budget(rounds=1, candidates=3), seed=5)
    llm = made.base.llm
    assert isinstance(llm, ScriptLLM)
    assert len(solution.attempts) == 1 and (llm.asked[0][1].seed, llm.asked[0][1].n) == (5, 3)
    assert made.base.seed == 0 and made.budget.rounds == 2


async def test_ready_scores_a_known_program_and_runs_it() -> None:
    sandbox = ScriptSandbox(answer=verdict("PASS"))
    found = await service(sandbox=sandbox, ranker="shortest").ready()
    assert found == {
        "cost": (True, "shortest: a known program costs 32.000"),
        "sandbox": (True, "fake: a known program gets PASS"),
    }
    assert "def add" in sandbox.runs[0] and sandbox.checks[0]


async def test_a_part_that_does_not_work_is_not_ready_and_says_why() -> None:
    down = await service(sandbox=ScriptSandbox(answer=SandboxUnavailable("no engine"))).ready()
    assert down["sandbox"] == (False, "no engine")
    wrong = await service(sandbox=ScriptSandbox(answer=verdict("FAIL"))).ready()
    assert not wrong["sandbox"][0] and "FAIL" in wrong["sandbox"][1]
    silent = await on_another_server(ScriptLLM(rounds=[[]])).ready()
    assert silent["cost"] == (False, "the model's server gave no answer to a short question")
    away = await on_another_server(ScriptLLM(rounds=[ModelUnavailable("it went away")]), ranker="first").ready()
    assert away["cost"] == (False, "it went away")


def on_another_server(llm: ScriptLLM, ranker: str = "log-probability") -> Service:
    """A service whose model's server only completes, as all but the embedded engine do."""
    made = service(ranker=ranker)
    llm.capabilities = replace(CAN, states=False)
    return replace(made, base=replace(made.base, llm=llm, sandbox=ScriptSandbox(answer=verdict("PASS"))))


@pytest.mark.parametrize("ranker", list(BASELINES))
async def test_a_server_that_cannot_read_a_given_answer_is_asked_for_a_short_one(ranker: str) -> None:
    llm = ScriptLLM(rounds=[["def add"]])
    cost, said = (await on_another_server(llm, ranker).ready())["cost"]
    assert cost and said.startswith(f"{ranker}: a known program costs ")
    assert [(sampling.n, sampling.max_tokens) for _, sampling in llm.asked] == [(1, 16)]
