"""Files of samples: what EvalPlus writes is read, and what is written EvalPlus reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import ConfigError
from atlas.evals.problems import Problem
from atlas.evals.progress import Progress
from atlas.evals.run import Run
from atlas.evals.samples import published_id, read_samples, samples_of, write_samples
from atlas.evals.stages import Concurrency, Stages
from atlas.types import Task
from tests.support.evals import ScriptedLLM, config, lines, parts, problem


def named(id_: str, **changes: Any) -> Problem:
    base = problem("a")
    return replace(base, task=base.task.model_copy(update={"id": id_}), **changes)


PROBLEMS = [named("HumanEval/0", frame=("def f(n):\n", "")), named("mbpp+/2"), named("multipl-e-js/HumanEval_1_x")]


def written(tmp_path: Path, *rows: Mapping[str, Any], name: str = "samples.jsonl") -> Path:
    return lines(rows, tmp_path / name)


@pytest.mark.parametrize("name", ["samples.jsonl", "samples.jsonl.gz"])
def test_solutions_and_completions_are_read(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path,
        {"task_id": "HumanEval/0", "completion": "    return n\n"},
        {"task_id": "HumanEval/0", "solution": "def f(n): return 1", "completion": "    ignored", "_identifier": "x"},
        {"task_id": "Mbpp/2", "solution": ""},
        {"task_id": "humaneval_1_X", "solution": "x"},
        {"task_id": "HumanEval/7", "solution": "x"},
        name=name,
    )
    found = read_samples(path, PROBLEMS)
    assert [(s.line, s.problem.id, s.program.source) for s in found.samples] == [
        (1, "HumanEval/0", "def f(n):\n    return n\n"), (2, "HumanEval/0", "def f(n): return 1"),
        (3, "mbpp+/2", ""), (4, "multipl-e-js/HumanEval_1_x", "x"),
    ]
    assert found.unknown == {"HumanEval/7": 1}
    assert [len(own) for own in found.by_problem().values()] == [2, 1, 1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"task_id": "HumanEval/0"}, r"line 1: field 'completion' should be a str, it is missing"),
        ({"task_id": "HumanEval/0", "solution": ["a"]}, r"line 1: field 'solution' should be a str, it is a list"),
        ({"task_id": 0, "solution": "a"}, r"line 1: field 'task_id' should be a str"),
        ({"task_id": "HumanEval/0", "solution": "a" * 1_000_001}, r"line 1: String should have at most 1000000"),
        ({"task_id": "Other/0", "solution": "a"}, r"no sample of these problems; its task ids are like .Other/0."),
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_samples(written(tmp_path, row), PROBLEMS)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        read_samples(tmp_path / "none.jsonl", PROBLEMS)


def test_two_problems_of_one_published_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"task_id": "Mbpp/2", "solution": ""})
    with pytest.raises(ConfigError, match="two problems have one published name"):
        read_samples(path, [named("mbpp/2"), named("mbpp+/2")])


def test_half_a_surrogate_pair_is_no_character_of_a_program(tmp_path: Path) -> None:
    path = written(tmp_path, {"task_id": "Mbpp/2", "solution": "x = '\ud800'"})
    assert read_samples(path, PROBLEMS).samples[0].program.source == "x = '?'"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("HumanEval/3", "HumanEval/3"), ("mbpp/3", "Mbpp/3"), ("mbpp+/3", "Mbpp/3"), ("leetcode/two-sum", "two-sum"),
        ("livecodebench/abc300_a", "abc300_a"), ("multipl-e-cpp/HumanEval_3_f", "HumanEval_3_f"), ("mine", "mine"),
    ],
)
def test_problems_go_by_their_published_names(ours: str, theirs: str) -> None:
    assert published_id(ours) == theirs


@pytest.mark.anyio
async def test_every_completion_of_a_run_is_exported_and_read_back(tmp_path: Path) -> None:
    def write(prompt: str, index: int) -> str:
        return "# right\n" if index < 2 else f"# wrong\nx = {index}\n"

    problems = [problem("mbpp/600"), problem("b")]
    with Run.open(tmp_path / "run", config()) as run:
        made = parts(tmp_path, llm=ScriptedLLM(write=write))
        await Stages(run, made, Concurrency()).all(problems, Progress(total=2))
        path = tmp_path / "out" / "samples.jsonl"
        assert write_samples(path, samples_of(run, problems)) == 8
        with pytest.raises(ConfigError, match="no completions of c yet"):
            list(samples_of(run, [problem("c")]))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["Mbpp/600"] * 4 + ["b"] * 4
    assert [row["solution"] for row in rows[:3]] == ["# right\n", "# right\n", "# wrong\nx = 2\n"]
    found = read_samples(path, problems)
    assert [s.program.source for s in found.samples] == [row["solution"] for row in rows]
    with pytest.raises(ConfigError, match="is there already"):
        write_samples(path, iter([]))


@pytest.mark.anyio
async def test_an_answer_without_a_program_is_exported_as_an_empty_one(tmp_path: Path) -> None:
    llm = ScriptedLLM()
    original = llm._completion
    llm._completion = lambda *args: replace(original(*args), text="I cannot.")  # type: ignore[method-assign]
    with Run.open(tmp_path / "run", config()) as run:
        await Stages(run, parts(tmp_path, llm=llm), Concurrency()).all([problem("a")], Progress(total=1))
        assert list(samples_of(run, [problem("a")])) == [("a", "")] * 4


def test_a_task_without_a_frame_takes_a_completion_as_it_is() -> None:
    own = Problem(task=Task(id="a", prompt="p"), hidden=(), dataset="own")
    assert own.completed("x = 1").source == "x = 1"
