"""The stages over files: what is done stays done, what fails stays undone, and our failures are never a program's."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.errors import ConfigError
from atlas.evals.fingerprints import RecordedFingerprints
from atlas.evals.generate import recorded, seed_of
from atlas.evals.grade import SandboxFailed, grade, judge, read_grades
from atlas.evals.problems import Excluded, Problem
from atlas.evals.progress import Progress
from atlas.evals.references import References
from atlas.evals.run import Run
from atlas.evals.stages import Concurrency, Parts, RunStopped, Stages
from atlas.evals.stages import Outcome as Ended
from atlas.types import AssertCheck, CallCheck, Program
from sandbox.types import Outcome
from tests.support.evals import MarkedSandbox, ScriptedLLM, config, parts, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


async def go(folder: Path, problems: list[Problem], made: Parts) -> Ended:
    with Run.open(folder, config()) as run:
        return await Stages(run, made, Concurrency()).all(problems, Progress(total=len(problems)))


async def test_every_candidate_is_fingerprinted_and_graded_by_all_checks(folder: Path) -> None:
    made = parts(folder)
    outcome = await go(folder, [problem("a", hidden=2)], made)
    run = Run.read(folder)
    (done,) = outcome.done
    candidates, usage = recorded(run, done)
    grades = read_grades(run, done)
    assert [grades[c.digest].outcome for c in candidates] == [Outcome.FAIL, Outcome.PASS] * 2
    assert grades[candidates[0].digest].failed == 2, "the last of one visible and two hidden checks"
    assert usage.completion_tokens == 28
    assert RecordedFingerprints.of(run, [done]).id == "fp-test"


async def test_doing_it_again_does_nothing(folder: Path) -> None:
    problems = [problem(name) for name in "abc"]
    await go(folder, problems, parts(folder))
    again = parts(folder)
    outcome = await go(folder, problems, again)
    assert [p.id for p in outcome.done] == ["a", "b", "c"]
    assert again.llm.asked == []  # type: ignore[attr-defined]
    assert again.sandbox.runs == []  # type: ignore[attr-defined]
    assert again.fingerprinter.made == 0  # type: ignore[attr-defined]


async def test_more_problems_do_what_is_missing_only(folder: Path) -> None:
    await go(folder, [problem("a")], parts(folder))
    more = parts(folder)
    await go(folder, [problem("a"), problem("b")], more)
    assert len(more.llm.asked) == 1  # type: ignore[attr-defined]


async def test_other_checks_are_graded_again_and_nothing_is_generated_again(folder: Path) -> None:
    await go(folder, [problem("a")], parts(folder))
    other = parts(folder)
    changed = problem("a", hidden=3)
    await go(folder, [changed], other)
    assert other.llm.asked == []  # type: ignore[attr-defined]
    assert len(other.sandbox.runs) == 1 + 4  # type: ignore[attr-defined]  # the reference, and each candidate
    assert all(g.failed in (None, 3) for g in read_grades(Run.read(folder), changed).values())


async def test_another_fingerprinter_is_asked_again_and_the_rest_stays(folder: Path) -> None:
    await go(folder, [problem("a")], parts(folder))
    other = parts(folder)
    other.fingerprinter.id = "fp-other"  # type: ignore[misc]
    await go(folder, [problem("a")], other)
    assert other.fingerprinter.made == 4  # type: ignore[attr-defined]
    assert other.sandbox.runs == []  # type: ignore[attr-defined]


async def test_completions_that_answer_another_prompt_are_refused(folder: Path) -> None:
    await go(folder, [problem("a")], parts(folder))
    other = problem("a")
    other = replace(other, task=other.task.model_copy(update={"prompt": "Something else."}))
    with pytest.raises(ConfigError, match=r"a\.parquet was recorded with another prompt_sha256"):
        await go(folder, [other], parts(folder))


async def test_a_sandbox_that_fails_is_asked_again(folder: Path) -> None:
    sandbox = MarkedSandbox(mend_after=2)
    made = parts(folder, sandbox=sandbox, llm=ScriptedLLM(write=lambda *_: "# broken\n"))
    outcome = await go(folder, [problem("a")], made)
    assert not outcome.troubles
    (only,) = read_grades(Run.read(folder), outcome.done[0]).values()
    assert only.outcome is Outcome.PASS


async def test_our_failures_are_noted_and_never_become_grades(folder: Path) -> None:
    def write(prompt: str, index: int) -> str:
        return f"# {'broken' if 'function b ' in prompt and index == 2 else 'wrong'}\n# {index}\n"

    made = parts(folder, llm=ScriptedLLM(write=write))
    outcome = await go(folder, [problem(name) for name in "abc"], made)
    assert [p.id for p in outcome.done] == ["a", "c"]
    assert [(t.id, t.message) for t in outcome.troubles] == [
        ("b", "SandboxFailed: no verdict after 3 tries: no container")
    ]
    kept = read_grades(Run.read(folder), problem("b"))
    assert len(kept) == 2, "verdicts that were given before it failed are kept"
    assert {g.outcome for g in kept.values()} == {Outcome.FAIL}

    mended = parts(folder, sandbox=MarkedSandbox(mend_after=0))
    outcome = await go(folder, [problem(name) for name in "abc"], mended)
    assert [p.id for p in outcome.done] == ["a", "b", "c"]
    assert len(mended.sandbox.runs) == 2, "only what was missing is run"  # type: ignore[attr-defined]


async def test_a_model_that_is_down_for_one_problem_leaves_that_one_undone(folder: Path) -> None:
    made = parts(folder, llm=ScriptedLLM(down=("function b ",)))
    outcome = await go(folder, [problem(name) for name in "abc"], made)
    assert [p.id for p in outcome.done] == ["a", "c"]
    assert outcome.troubles[0].message == "ModelUnavailable: the model server is down"


async def test_infrastructure_that_stays_down_ends_the_run_and_keeps_what_was_done(folder: Path) -> None:
    names = [f"p{i:02d}" for i in range(12)]
    made = parts(folder, llm=ScriptedLLM(down=tuple(f"function {name} " for name in names[2:])))
    with pytest.raises(RunStopped, match=r"5 problems in a row were left undone.*run the same command again"):
        await go(folder, [problem(name) for name in names], made)
    assert len(list((folder / "completions").glob("*.parquet"))) == 2


async def test_a_problem_whose_reference_fails_is_excluded_by_name_before_anything_is_paid(folder: Path) -> None:
    bad = replace(problem("b"), reference=Program(source="# wrong\n"))
    made = parts(folder)
    outcome = await go(folder, [problem("a"), bad], made)
    assert [p.id for p in outcome.done] == ["a"]
    assert outcome.excluded[0].id == "b"
    assert "its reference does not pass its own checks: check 1: FAIL" in outcome.excluded[0].reason
    assert len(made.llm.asked) == 1  # type: ignore[attr-defined]


async def test_what_the_reference_said_is_kept(folder: Path, tmp_path: Path) -> None:
    sandbox = MarkedSandbox()
    references = References(sandbox=sandbox, folder=tmp_path / "kept")
    for _ in range(2):
        assert isinstance(await references.settle(problem("a")), Problem)
        assert isinstance(await references.settle(replace(problem("b"), reference=Program(source="# wrong"))), Excluded)
    assert len(sandbox.runs) == 2


async def test_an_answer_without_a_program_is_no_candidate(folder: Path) -> None:
    llm = ScriptedLLM()
    llm._completion = lambda prompt, index, sampling: replace(  # type: ignore[method-assign]
        ScriptedLLM._completion(llm, prompt, index, sampling), **({"text": "I cannot."} if index else {})
    )
    outcome = await go(folder, [problem("a")], parts(folder, llm=llm))
    assert len(read_grades(Run.read(folder), outcome.done[0])) == 1


async def test_equal_programs_are_run_once(folder: Path) -> None:
    made = parts(folder, llm=ScriptedLLM(write=lambda *_: "# right\n"))
    outcome = await go(folder, [problem("a")], made)
    ((only,), _) = recorded(Run.read(folder), outcome.done[0])
    assert only.copies == 4
    assert len(made.sandbox.runs) == 2, "the reference and the one program"  # type: ignore[attr-defined]


async def test_judging_gives_up_with_the_last_reason() -> None:
    sandbox = MarkedSandbox()
    with pytest.raises(SandboxFailed, match="no verdict after 3 tries: no container"):
        await judge(sandbox, Program(source="# broken\n"), [], problem("a").task.limits, pause_s=0.0)
    assert sandbox.broken == 3


def test_a_busy_machine_is_given_wall_clock_time_but_no_cpu_time() -> None:
    limits = problem("a").limits
    assert (limits.cpu_s, limits.wall_s) == (5.0, 20.0)


async def test_grading_keeps_what_it_knows(folder: Path) -> None:
    outcome = await go(folder, [problem("a")], parts(folder))
    (done,) = outcome.done
    run, sandbox = Run.read(folder), MarkedSandbox()
    candidates, _ = recorded(run, done)
    assert await grade(run, done, candidates, sandbox) == 0
    assert sandbox.runs == []


async def test_no_prompt_that_is_sent_holds_a_hidden_check(folder: Path) -> None:
    made = parts(folder)
    problems = [
        replace(problem("a"), hidden=(CallCheck(call="f('a hidden call')", expected="'what it gives'"),)),
        replace(problem("b"), hidden=(AssertCheck(code="assert f('a hidden script') == 1"),)),
    ]
    await go(folder, problems, made)
    sent = "\n".join(m.content for asked in made.llm.asked for m in asked)  # type: ignore[attr-defined]
    assert "f(0)" in sent, "the visible check is shown"
    assert "hidden" not in sent
    assert "what it gives" not in sent


def test_seeds_depend_on_the_problem_and_the_runs_seed_alone() -> None:
    assert seed_of("mbpp/511") == 1538659454
    assert len({seed_of(name, seed) for name in ("a", "b") for seed in (0, 1)}) == 4


def test_the_progress_line_says_what_is_done_and_what_is_left() -> None:
    progress = Progress(
        total=10, begun=0.0, done=4, resumed=2, solved=3, failed=1, saved=5, candidates=16, passed=4, tokens=1000,
        troubles=1,
    )
    assert progress.line(now=20.0) == (
        "4/10 problems, 3 solved, 1 failed, 16 candidates, 25% passed, 50 tokens/s, 5 sandbox runs saved, "
        "2 were there already, 1 left undone by infrastructure, 1 min 0 s left"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()], ids=["plain", "terminal"])
def test_progress_is_shown_while_it_lasts_and_once_at_the_end(out: io.StringIO) -> None:
    with Progress(total=3).shown(out, every_s=0.01) as progress:
        progress.done = 2
        time.sleep(0.8)
        shown_meanwhile = out.getvalue()
        progress.done = 3
    assert "2/3 problems" in shown_meanwhile
    assert out.getvalue().endswith("3/3 problems\n")


async def test_an_error_that_ends_the_run_comes_out_as_itself(folder: Path) -> None:
    await go(folder, [problem("a")], parts(folder))
    other = replace(problem("a"), task=problem("a").task.model_copy(update={"prompt": "Something else."}))
    with Progress(total=1).shown(io.StringIO()), pytest.raises(ConfigError) as caught:
        await go(folder, [other], parts(folder))
    assert not isinstance(caught.value, BaseExceptionGroup)
