"""The loop in the harness: what it may see, whose candidates it begins with, what it adds up to, and how it goes on."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import ConfigError
from atlas.evals.commands import Plan, read_results, run_eval, run_loops
from atlas.evals.loop import FirstRound, run_loop, setup_of
from atlas.evals.loop_results import LoopResults, loop_results, table
from atlas.evals.progress import Progress
from atlas.evals.run import Run
from atlas.evals.stages import RunStopped
from atlas.policy import FixedRounds
from atlas.protocols import Sampling
from atlas.rank import baseline
from atlas.solver import Solver, Warming
from atlas.types import Budget, Check, Limits, Message, Program, Verdict
from tests.support.evals import HashFingerprinter, MarkedSandbox, ScriptedLLM, config, lines, parts, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Visible(MarkedSandbox):
    """Passes wrong programs for as long as it is given one check, the visible one."""

    async def run(self, program: Program, checks: list[Check], limits: Limits) -> Verdict:  # type: ignore[override]
        if len(checks) == 1:
            self.runs.append("loop")
            program = program.model_copy(update={"source": program.source.replace("# wrong", "# right")})
        return await super().run(program, checks, limits)


def plan(tmp_path: Path, **changes: Any) -> Plan:
    hidden = [{"kind": "call", "call": "f(31337)", "expected": "31337"}]
    check = [{"kind": "call", "call": "f(1)", "expected": "1"}]
    rows = [{"id": name, "prompt": f"Write {name}.", "checks": check, "hidden": hidden} for name in "abc"]
    path = lines(rows, tmp_path / "mine.jsonl")
    return Plan(datasets=(str(path),), folder=tmp_path / "run", cache=tmp_path / "cache", k=4, **changes)


def solver(llm: ScriptedLLM, sandbox: MarkedSandbox, **budget: Any) -> Solver:
    return Solver(
        llm=llm, ranker=baseline("first"), sandbox=sandbox, budget=Budget(**{"candidates": 2, "rounds": 3, **budget}),
        max_tokens=768, temperature=Warming(start=0.8, greedy_first=False),
    )


async def go(
    made: Plan, llm: ScriptedLLM, sandbox: MarkedSandbox, out: io.StringIO | None = None, **budget: Any
) -> LoopResults:
    return await run_loops(
        made, solver(llm, sandbox, **budget), HashFingerprinter(), sandbox, progress_to=out or io.StringIO()
    )


async def test_the_first_round_is_the_pools_and_the_model_is_asked_the_rest(tmp_path: Path) -> None:
    made, sandbox = plan(tmp_path), MarkedSandbox()
    pool = await run_eval(made, ScriptedLLM(), HashFingerprinter(), sandbox, None, progress_to=io.StringIO())
    assert pool.loops == {}
    llm = ScriptedLLM()
    found = await go(made, llm, sandbox)
    # The first candidate is wrong. In the second round the model gives it again, and it is not run again: the next is.
    assert found.problems == 3 and found.rounds.value == 2 and len(llm.asked) == 3
    assert found.replayed.value == 0.5 and found.statuses == {"verified": 3}
    assert all(len(asked) > 2 for asked in llm.asked), "later rounds show what failed"
    assert read_results(made.folder) == pool.model_copy(update={"loops": {found.setup.name: found}})
    again = await run_eval(made, ScriptedLLM(), HashFingerprinter(), sandbox, None, progress_to=io.StringIO())
    assert again.loops == {found.setup.name: found}


async def test_only_visible_checks_reach_it_and_hidden_ones_judge_what_it_hands_out(tmp_path: Path) -> None:
    llm, sandbox = ScriptedLLM(), Visible()
    found = await go(plan(tmp_path), llm, sandbox)
    assert found.statuses == {"verified": 3} and found.sandbox_runs.value == 1
    assert (found.solved.value, found.handed_out_wrong.value) == (0, 1)
    assert found.sandbox_runs_per_solved is None and found.replayed.value == 0
    assert "31337" not in json.dumps([[message.content for message in asked] for asked in llm.asked])


async def test_figures_by_hand(tmp_path: Path) -> None:
    llm = ScriptedLLM(write=lambda prompt, i: f"# {'wrong' if 'Write b' in prompt else 'right'}\nx = {i}\n")
    made = plan(tmp_path)
    out = io.StringIO()
    found = await go(made, llm, MarkedSandbox(), out, rounds=1)
    assert "3/3 problems, 2 solved, 1 failed, " in out.getvalue() and "3 sandbox runs saved" in out.getvalue()
    assert found.solved.value == pytest.approx(2 / 3) and found.solved.n == 3
    assert found.sandbox_runs_per_solved is not None and found.sandbox_runs_per_solved.value == 1.5
    assert found.sandbox_runs_of_solved is not None and found.sandbox_runs_of_solved.value == 1
    assert found.tokens.value == 24 and found.tokens_per_solved is not None
    assert found.tokens_per_solved.value == 36 and found.completions.value == 2
    assert "verified 2" in table(found) and "1.500" in table(found)
    one = json.loads((found_folder(made, found) / "problems" / "a.json").read_text())
    assert one["program"] == "# right\nx = 0\n" and one["seconds"].keys() == {"generate", "rank", "sandbox"}


def found_folder(made: Plan, found: LoopResults) -> Path:
    return made.folder / "loops" / found.setup.name


async def test_done_problems_are_not_done_again_and_another_setup_is_another_loop(tmp_path: Path) -> None:
    made, first = plan(tmp_path), await go(plan(tmp_path), ScriptedLLM(), MarkedSandbox())
    folder = found_folder(made, first)
    (folder / "problems" / "b.json").unlink()
    (folder / "problems" / "c.json.1.tmp").write_text("cut off")  # what a killed process leaves
    llm = ScriptedLLM()
    second = await go(made, llm, MarkedSandbox())
    assert {asked[1].content.splitlines()[0] for asked in llm.asked} == {"Write b."}
    timed = {"seconds": first.seconds, "seconds_per_solved": first.seconds_per_solved}
    assert second.model_copy(update=timed) == first
    other = await go(made, ScriptedLLM(), MarkedSandbox(), rounds=1)
    assert other.setup.name != first.setup.name and len(list((made.folder / "loops").iterdir())) == 2
    (folder / "problems" / "a.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"a\.json cannot be read.*delete it"):
        await go(made, ScriptedLLM(), MarkedSandbox())


async def test_what_infrastructure_left_undone_is_named_and_done_by_the_next_run(tmp_path: Path) -> None:
    down = await go(plan(tmp_path), ScriptedLLM(down=("Write b.",)), MarkedSandbox())
    assert down.problems == 2 and list(down.infrastructure) == ["b"] and "is down" in table(down)
    llm = ScriptedLLM()
    mended = await go(plan(tmp_path), llm, MarkedSandbox())
    assert mended.problems == 3 and not mended.infrastructure
    assert {asked[1].content.splitlines()[0] for asked in llm.asked} == {"Write b."}


async def test_several_failures_in_a_row_end_it_and_none_at_all_is_no_result(tmp_path: Path) -> None:
    down = ScriptedLLM(down=("Write",))
    with pytest.raises(ConfigError, match=r"finished no problem.*is down"):
        await go(plan(tmp_path), down, MarkedSandbox())
    with Run.open(tmp_path / "other", config()) as run, pytest.raises(RunStopped, match="5 problems in a row"):
        many = [problem(f"p{i}") for i in range(6)]
        made = parts(tmp_path, llm=down)
        await run_loop(run, many, made, solver(down, MarkedSandbox()), Progress(total=6))


async def test_a_pool_answers_for_itself_alone() -> None:
    """Another prompt, seed, temperature or length is not what was recorded, and neither is one beyond its end."""
    llm = ScriptedLLM()
    asked = (Message(role="user", content="Write f."),)
    drawn, _ = await llm.sample(asked, Sampling(n=4, temperature=0.8, seed=10, max_tokens=64))
    dealer = FirstRound(
        llm=llm, asked=asked, completions=drawn, seed=10, temperature=0.8, max_tokens=64, greedy_first=True,
        prompt_tokens=10,
    )
    wanted = Sampling(n=2, temperature=0.8, seed=12, max_tokens=64)
    dealt, paid = await dealer.sample(asked, wanted)
    assert list(dealt) == list(drawn[2:4]) and paid.prompt_tokens == 10
    assert paid.completion_tokens == sum(len(one.logprobs or ()) for one in dealt)
    assert dealer.replayed == 2 and len(llm.asked) == 1 and dealer.capabilities == llm.capabilities
    others = [
        {"seed": 13}, {"seed": 9}, {"temperature": 0.9}, {"max_tokens": 65}, {"n": 3}, {"greedy_first": True},
        {"seed": 10},
    ]
    for number, change in enumerate(others, start=2):
        await dealer.sample(asked, replace(wanted, **change))
        assert len(llm.asked) == number
    await dealer.sample((*asked, *asked), wanted)
    assert len(llm.asked) == len(others) + 2 and dealer.replayed == 2
    dealt, _ = await dealer.sample(asked, replace(wanted, seed=10, greedy_first=True))
    assert list(dealt) == list(drawn[:2]) and dealer.replayed == 4


def test_everything_that_decides_is_in_the_setups_name() -> None:
    base = solver(ScriptedLLM(), MarkedSandbox())
    names = {
        setup_of(made, "fp", 0).name
        for made in (
            base, replace(base, budget=Budget(rounds=1)), replace(base, ranker=baseline("shortest")),
            replace(base, policy=FixedRounds(least_p_pass=0.5)),
        )
    } | {setup_of(base, "fp2", 0).name, setup_of(base, "fp", 1).name}
    assert len(names) == 6 and all(name.startswith("rounds-") for name in names)


def test_no_problem_is_no_result() -> None:
    with pytest.raises(ConfigError, match="finished no problem: there is none"):
        loop_results(setup_of(solver(ScriptedLLM(), MarkedSandbox()), "fp", 0), [], {}, {})
