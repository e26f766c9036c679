"""Grading and ranking samples: each program is judged once, every sample counts, and infrastructure never does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import ConfigError
from atlas.evals.book import Book
from atlas.evals.graded import Graded, Grading, summary
from atlas.evals.metrics import pass_at_k
from atlas.evals.problems import Problem
from atlas.evals.ranked import rank_samples, ranking
from atlas.evals.references import References
from atlas.evals.samples import Samples, read_samples
from atlas.evals.stages import RunStopped
from atlas.fingerprint import ModelFingerprinter
from atlas.rank import baseline
from atlas.types import Check, Limits, Program, Verdict
from sandbox.errors import InvalidCheck
from tests.support.domain import ScriptLLM
from tests.support.evals import MarkedSandbox, lines, problem

pytestmark = pytest.mark.anyio
PROBLEMS = [problem("a"), problem("b"), problem("c")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def samples(tmp_path: Path, **sources: Sequence[str]) -> Samples:
    """The samples of each problem, as marks that the sandbox obeys, with a number to tell them apart."""
    rows = [{"task_id": name, "solution": f"# {one}"} for name, own in sources.items() for one in own]
    return read_samples(lines(rows, tmp_path / "samples.jsonl"), PROBLEMS)


def grading(tmp_path: Path, sandbox: Any = None, **changes: Any) -> Grading:
    references = References(sandbox=sandbox or MarkedSandbox(), folder=tmp_path / "references", pause_s=0.0)
    return Grading(references=references, **changes)


async def test_pass_at_k_is_the_unbiased_one_with_its_n_and_interval(tmp_path: Path) -> None:
    found = samples(tmp_path, a=["right", "wrong\n# 1", "wrong\n# 2", "wrong\n# 3"], b=["wrong"] * 4, c=["right"] * 5)
    graded = await grading(tmp_path).run(found, PROBLEMS)
    assert {id_: (one.n, one.passed) for id_, one in graded.problems.items()} == {"a": (4, 1), "b": (4, 0), "c": (5, 5)}
    assert graded.pass_at_1 is not None
    assert (graded.pass_at_1.value, graded.pass_at_1.n) == (pytest.approx((1 / 4 + 0 + 1) / 3), 3)
    assert graded.pass_at_k["2"].value == pytest.approx((1 - (3 * 2) / (4 * 3) + 0 + 1) / 3)
    assert graded.pass_at_k.keys() == {"1", "2", "4"}, "no problem of fewer samples is extrapolated"
    assert graded.pass_at_1.low < graded.pass_at_1.value < graded.pass_at_1.high
    assert graded.outcomes == {"FAIL": 7, "PASS": 6}


@pytest.mark.parametrize(
    ("n", "c", "k", "figure"),
    [
        (10, 3, 1, 0.30000000000000004), (10, 3, 5, 0.9166666666666666), (200, 17, 10, 0.5974489015799118),
        (200, 17, 100, 0.99999636769084), (164, 2, 50, 0.5181056411791112), (20, 1, 10, 0.5), (200, 0, 100, 0.0),
        (5, 5, 3, 1.0), (1000, 999, 2, 1.0),
    ],
)
def test_pass_at_k_gives_the_figures_of_evalplus(n: int, c: int, k: int, figure: float) -> None:
    # What `evalplus.eval.estimate_pass_at_k` of EvalPlus 0.3.1 returns.
    assert pass_at_k(n, c, k)[0] == pytest.approx(figure, rel=1e-14)


async def test_one_sample_a_problem_gets_the_interval_of_a_share(tmp_path: Path) -> None:
    graded = await grading(tmp_path).run(samples(tmp_path, a=["right"], b=["right"], c=["wrong"]), PROBLEMS)
    assert graded.pass_at_1 is not None and graded.pass_at_1.method == "wilson"


async def test_equal_programs_are_judged_once_and_each_sample_counts(tmp_path: Path) -> None:
    sandbox = MarkedSandbox()
    graded = await grading(tmp_path, sandbox).run(samples(tmp_path, a=["right", "wrong", "right"]), PROBLEMS)
    assert (graded.samples, graded.programs, graded.judged) == (3, 2, 2)
    assert graded.problems["a"].passed == 2
    assert len(sandbox.runs) == 3, "the reference and two programs"
    assert graded.missing == ("b", "c")


async def test_what_infrastructure_leaves_without_a_verdict_is_in_no_figure(tmp_path: Path) -> None:
    found = samples(tmp_path, a=["right", "broken"], b=["broken"])
    graded = await grading(tmp_path).run(found, PROBLEMS)
    assert graded.infrastructure.keys() == {"2", "3"}
    assert "no container" in graded.infrastructure["2"]
    assert {id_: one.n for id_, one in graded.problems.items()} == {"a": 1}
    assert graded.pass_at_1 is not None and (graded.pass_at_1.value, graded.pass_at_1.n) == (1.0, 1)
    assert "without a verdict: line 2" in summary(graded)


async def test_a_sandbox_that_is_down_ends_the_grading(tmp_path: Path) -> None:
    found = samples(tmp_path, a=[f"broken\n# {i}" for i in range(9)])
    with pytest.raises(RunStopped, match="5 programs in a row got no verdict"):
        await grading(tmp_path).run(found, PROBLEMS)


async def test_a_problem_whose_reference_fails_is_excluded_by_name(tmp_path: Path) -> None:
    bad = replace(PROBLEMS[1], reference=Program(source="# wrong\n"))
    found = samples(tmp_path, a=["right"], b=["right"])
    graded = await grading(tmp_path).run(
        Samples(
            samples=tuple(replace(s, problem=bad) if s.problem.id == "b" else s for s in found.samples), unknown={},
            sha256="",
        ),
        [PROBLEMS[0], bad],
    )
    assert graded.problems.keys() == {"a"}
    assert "its reference does not pass its own checks" in graded.excluded["b"]
    assert graded.missing == ()


async def test_a_problem_that_nothing_checks_is_excluded_by_name(tmp_path: Path) -> None:
    task = PROBLEMS[0].task.model_copy(update={"checks": ()})
    for reference in (None, Program(source="# right\n")):
        bare = Problem(task=task, hidden=(), dataset="own", reference=reference)
        rows = [{"task_id": "a", "solution": "# right"}]
        found = read_samples(lines(rows, tmp_path / "samples.jsonl"), [bare])
        graded = await grading(tmp_path).run(found, [bare])
        assert graded.excluded == {"a": "nothing checks it"} and graded.pass_at_1 is None


@dataclass(kw_only=True)
class Timed(MarkedSandbox):
    """Every check takes `cpu_s` of processor time."""

    cpu_s: float = 0.0
    error: Exception | None = None

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        if self.error is not None and "reference" not in program.source and program.source == "# right":
            raise self.error
        verdict = await super().run(program, checks, limits)
        results = [result.model_copy(update={"cpu_s": self.cpu_s}) for result in verdict.checks]
        return verdict.model_copy(update={"checks": tuple(results)})


@pytest.mark.parametrize(("cpu_s", "near"), [(2.4, 0), (2.6, 0), (0.1, 0)])
async def test_a_slow_reference_widens_the_limit(tmp_path: Path, cpu_s: float, near: int) -> None:
    graded = await grading(tmp_path, Timed(cpu_s=cpu_s)).run(samples(tmp_path, a=["right"]), PROBLEMS)
    assert graded.near_limit == near, "reference and program take the same, and the limit is four times that"


async def test_passes_that_come_near_their_limit_are_counted(tmp_path: Path) -> None:
    unmeasured = replace(PROBLEMS[0], reference=None)
    found = read_samples(
        lines([{"task_id": "a", "solution": f"# {s}"} for s in ("right", "wrong")], tmp_path / "s.jsonl"), [unmeasured]
    )
    graded = await grading(tmp_path, Timed(cpu_s=2.6)).run(found, [unmeasured])
    assert graded.near_limit == graded.problems["a"].near_limit == 1


async def test_a_check_that_cannot_be_read_excludes_its_problem(tmp_path: Path) -> None:
    sandbox = Timed(error=InvalidCheck("check 2: nonsense"))
    graded = await grading(tmp_path, sandbox).run(samples(tmp_path, a=["right"], b=["wrong"]), PROBLEMS)
    assert graded.excluded == {"a": "a check cannot be read: check 2: nonsense"}
    assert graded.problems.keys() == {"b"}


async def graded_with(tmp_path: Path, found: Samples, sandbox: MarkedSandbox) -> Graded:
    return await grading(tmp_path, sandbox, book=Book.open(tmp_path / "book.jsonl")).run(found, PROBLEMS)


async def test_a_grading_goes_on_from_its_book_and_a_finished_one_judges_nothing(tmp_path: Path) -> None:
    found = samples(tmp_path, a=["right", "wrong"], b=["right"])
    first = await graded_with(tmp_path, found, MarkedSandbox())
    book = tmp_path / "book.jsonl"
    kept = book.read_bytes()
    assert [json.loads(line)["outcome"] for line in kept.splitlines()].count("PASS") == 2
    sandbox = MarkedSandbox()
    again = await graded_with(tmp_path, found, sandbox)
    assert (again.judged, sandbox.runs, book.read_bytes()) == (0, [], kept)
    assert again.problems == first.problems
    book.write_bytes(kept[: kept.rfind(b"\n", 0, -1) + 20])  # killed while it wrote the last line
    assert (await graded_with(tmp_path, found, MarkedSandbox())).judged == 1
    assert sorted(book.read_bytes().splitlines()) == sorted(kept.splitlines())


async def test_a_book_of_other_checks_or_another_isolation_is_judged_anew(tmp_path: Path) -> None:
    found = samples(tmp_path, a=["right"])
    await graded_with(tmp_path, found, MarkedSandbox())
    assert (await graded_with(tmp_path, found, MarkedSandbox(isolation="wasm"))).judged == 1


def test_a_file_that_is_no_book_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    path.write_text('{"task_id": "a", "solution": "x"}\n')
    with pytest.raises(ConfigError, match="line 1 is no verdict of a sample"):
        Book.open(path)
    assert path.read_text() == '{"task_id": "a", "solution": "x"}\n'


async def test_without_a_model_the_rankers_that_need_none_rank(tmp_path: Path) -> None:
    rows = ["x = 1\ny = 2", "x = 1\ny = 2", "x = 1\ny = 3", "print('something else')"]
    found = read_samples(
        lines([{"task_id": "a", "solution": source} for source in rows], tmp_path / "s.jsonl"), PROBLEMS
    )
    ranked = await rank_samples(found, baseline("agreement"), because="there is no model")
    assert (ranked.ranker, ranked.model, ranked.rankers) == ("agreement", "", ("agreement", "first", "shortest"))
    own = ranked.problems["a"]
    assert [(one.line, one.place) for one in own] == [(1, 1), (2, 1), (3, 2), (4, 3)]
    assert own[0].costs["first"] == 0 and own[2].costs["first"] == 2
    assert "there is no model" in ranking(ranked)


async def test_a_model_reads_programs_that_it_did_not_write(tmp_path: Path) -> None:
    llm = ScriptLLM(rounds=[])
    rows = [{"task_id": "a", "solution": source} for source in ("def f(n):\n    return n", "x = 1", "LONG = 1")]
    found = read_samples(lines(rows, tmp_path / "s.jsonl"), PROBLEMS)
    ranked = await rank_samples(found, baseline("log-probability"), because="so", llm=llm)
    own = {one.line: one for one in ranked.problems["a"]}
    assert ranked.model == "fake"
    assert own[1].costs["log-probability"] is not None
    assert own[3].costs["log-probability"] is None and "no logprob_mean" in own[3].problem
    assert [one.line for one in ranked.problems["a"]][-1] == 3
    made = await ModelFingerprinter.best(llm).fingerprints(PROBLEMS[0].task, [])
    assert made == []


