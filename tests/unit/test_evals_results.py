"""Measuring a pool: numbers worked out by hand, on candidates whose costs are chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from atlas.errors import FingerprintMismatch
from atlas.evals.evaluate import contenders, measure
from atlas.evals.fingerprints import RecordedFingerprints
from atlas.evals.pool import Pool
from atlas.evals.progress import Progress
from atlas.evals.results import Results, results, table
from atlas.evals.run import Run
from atlas.evals.score import Contender, score
from atlas.evals.stages import Concurrency, Outcome, Stages
from atlas.types import Candidate, Ranked, Task
from tests.support.evals import ScriptedLLM, config, parts, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(kw_only=True)
class Priced:
    """A ranker whose costs stand in the programs: `# cost 0.5`."""

    name: str = "priced"
    asked: int = 0

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
        self.asked += 1
        ranked = [Ranked(candidate=c, cost=_price(c.program.source), problem="free") for c in candidates]
        return sorted(ranked, key=lambda r: (r.cost is None, r.cost or 0.0))


def _price(source: str) -> float | None:
    text = source.split("cost ")[1].split()[0]
    return None if text == "none" else float(text)


PROGRAMS = {
    # mixed, the cheapest is right; mixed, the cheapest is wrong; mixed, a tie of one right and one wrong at the bottom
    "a": ["right 0.1", "wrong 0.2", "wrong 0.3", "wrong 0.4"],
    "b": ["wrong 0.1", "right 0.2", "right 0.3", "wrong none"],
    "c": ["wrong 0.1", "right 0.1", "wrong 0.3", "right 0.4"],
    # all right, with a copy; all wrong; two answers without a program
    "d": ["right 0.5", "right 0.5", "right 0.6", "right 0.7"],
    "e": ["wrong 0.1", "wrong 0.2", "wrong 0.3", "wrong 0.4"],
}


def write(prompt: str, index: int) -> str:
    mark, price = PROGRAMS[prompt.split()[3]][index].split()
    return f"# {mark}\n# cost {price}\n"


async def graded(folder: Path) -> tuple[Run, Outcome]:
    problems = [problem(name) for name in PROGRAMS]
    with Run.open(folder, config()) as run:
        made = parts(folder, llm=ScriptedLLM(write=write))
        return run, await Stages(run, made, Concurrency()).all(problems, Progress(total=5))


async def priced(folder: Path) -> Results:
    run, outcome = await graded(folder)
    pool = Pool.read(run, outcome.done)
    own = Contender(name="priced", id="1", open=lambda _: Priced())
    scores = [await score(run, pool, own, RecordedFingerprints.of(run, outcome.done))]
    return results(pool, scores, outcome, run.config, {})


async def test_selection_and_pass_at_1_are_what_a_hand_works_out(tmp_path: Path) -> None:
    found = await priced(tmp_path)
    assert (found.tasks, found.mixed, found.solvable) == (5, 3, 4)
    assert found.candidates == 19, "the copy in d is one candidate"
    assert found.selection["priced"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert found.selection["random"] == pytest.approx((1 / 4 + 2 / 4 + 2 / 4) / 3)
    assert found.selection["oracle"] == 1.0
    assert found.pass_at_1["priced"] == pytest.approx((1 + 0 + 0.5 + 1 + 0) / 5)
    assert found.pass_at_1["oracle"] == pytest.approx(4 / 5)
    one = found.rankers["priced"]
    assert one.unscored == 1
    assert one.gap_closed is not None
    chance = 1.25 / 3
    assert one.gap_closed.value == pytest.approx((0.5 - chance) / (1 - chance))
    # pairs of right and wrong in which the right one is cheaper: a 3 of 3; b 2 of 4; c 0 + 1/2 for 0.1, 1 for 0.3, 0
    assert one.within_auroc is not None
    assert one.within_auroc.value == pytest.approx((1 + 2 / 4 + 1.5 / 4) / 3)
    # runs until a pass, cheapest first: a 1, b 2, c 1.5 (a coin for the first), d 1
    assert one.first_pass_runs is not None
    assert one.first_pass_runs.value == pytest.approx((1 + 2 + 1.5 + 1) / 4)
    assert one.first_pass_runs.n == 4


async def test_pass_at_k_counts_every_completion(tmp_path: Path) -> None:
    found = await priced(tmp_path)
    assert found.pass_at_k["1"].value == pytest.approx((1 / 4 + 2 / 4 + 2 / 4 + 1 + 0) / 5)
    assert found.pass_at_k["2"].value == pytest.approx((1 / 2 + 5 / 6 + 5 / 6 + 1 + 0) / 5)
    assert found.pass_at_k["4"].value == pytest.approx(4 / 5)


async def test_the_difference_to_random_is_paired_over_mixed_problems(tmp_path: Path) -> None:
    found = await priced(tmp_path)
    assert found.leader == "priced"
    assert found.ahead["random"].value == pytest.approx(0.5 - 1.25 / 3)
    assert found.ahead["random"].n == 3
    assert "oracle" not in found.ahead


async def test_a_problem_without_a_candidate_counts_as_unsolved(tmp_path: Path) -> None:
    llm = ScriptedLLM(write=lambda *_: "# right\n")
    plain = ScriptedLLM._completion

    def silent(prompt: str, index: int, sampling: object) -> object:
        made = plain(llm, prompt, index, sampling)  # type: ignore[arg-type]
        object.__setattr__(made, "text", "I cannot do that.") if "function b " in prompt else None
        return made

    llm._completion = silent  # type: ignore[assignment,method-assign]
    with Run.open(tmp_path, config()) as run:
        outcome = await Stages(run, parts(tmp_path, llm=llm), Concurrency()).all(
            [problem("a"), problem("b")], Progress(total=2)
        )
        found = await measure(run, outcome, None)
    assert found.tasks == 2
    assert found.pass_at_1["first"] == 0.5
    assert found.selection["first"] is None, "no problem is mixed"


async def test_scores_are_kept_until_the_ranker_or_the_pool_changes(tmp_path: Path) -> None:
    run, outcome = await graded(tmp_path)
    pool, made = Pool.read(run, outcome.done), RecordedFingerprints.of(run, outcome.done)
    ranker = Priced()
    for id_, asked in (("1", 5), ("1", 5), ("2", 10)):
        await score(run, pool, Contender(name="priced", id=id_, open=lambda _: ranker), made)
        assert ranker.asked == asked
    fewer = Pool.read(run, outcome.done[:3])
    await score(run, fewer, Contender(name="priced", id="2", open=lambda _: ranker), made)
    assert ranker.asked == 13


async def test_a_ranker_that_loses_a_candidate_is_found_out(tmp_path: Path) -> None:
    class Losing(Priced):
        async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
            return (await super().rank(task, candidates))[1:]

    run, outcome = await graded(tmp_path)
    pool, made = Pool.read(run, outcome.done), RecordedFingerprints.of(run, outcome.done)
    with pytest.raises(ValueError, match="given 4 candidates and gave back 3"):
        await score(run, pool, Contender(name="losing", id="1", open=lambda _: Losing()), made)


async def test_every_baseline_is_measured_and_the_results_are_kept(tmp_path: Path) -> None:
    run, outcome = await graded(tmp_path)
    found = await measure(run, outcome, None)
    baselines = ["first", "shortest", "log-probability", "agreement", "longest"]
    assert [c.name for c in contenders(None)] == baselines
    assert [c.name for c in contenders(None, "agreement")][:2] == ["agreement", "first"]
    assert list(found.selection) == [*baselines, "random", "oracle"]
    kept = Results.model_validate_json((tmp_path / "results.json").read_bytes())
    assert kept == found
    assert json.loads(found.model_dump_json())["selection"]["oracle"] == 1.0
    assert (await measure(run, outcome, None, "agreement")).leader == "agreement", "what the service would choose by"


async def test_fingerprints_of_two_kinds_are_refused(tmp_path: Path) -> None:
    _, outcome = await graded(tmp_path)
    other = parts(tmp_path, llm=ScriptedLLM(write=write))
    other.fingerprinter.id = "fp-other"  # type: ignore[misc]
    with Run.open(tmp_path, config()) as run:
        await Stages(run, other, Concurrency()).all([problem("a")], Progress(total=1))
    with pytest.raises(FingerprintMismatch, match="2 kinds"):
        RecordedFingerprints.of(run, outcome.done)


async def test_the_table_names_what_was_left_out_and_why(tmp_path: Path) -> None:
    found = await priced(tmp_path)
    shown = table(found.model_copy(update={"excluded": {"x": "no reference"}, "infrastructure": {"y": "down"}}))
    lines = shown.splitlines()
    assert lines[0].split()[:2] == ["ranker", "pass@1"]
    assert lines[1].startswith("oracle")
    assert "5 problems, 3 mixed; 19 different candidates of 20 completions; verdicts: FAIL 11, PASS 8 (docker)" in shown
    assert "excluded: x: no reference" in lines
    assert "left undone by infrastructure: y: down" in lines


def test_nothing_graded_is_nothing_measured() -> None:
    with pytest.raises(ValueError, match="no problem was graded"):
        results(Pool(entries=(), k=4), [], Outcome(done=(), excluded=(), troubles=()), config(), {})
