"""`atlas eval grade`, `rank` and `export`: the last line is one JSON object, and the exit code says who has to act."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner, Result

from atlas import console, settings, wiring
from atlas.cli import app
from atlas.evals import datasets
from atlas.evals.asked import Asked
from atlas.evals.progress import Progress
from atlas.evals.run import Run
from atlas.evals.stages import Concurrency, Stages
from atlas.protocols import LLM
from atlas.settings import Settings
from tests.support.domain import ScriptLLM
from tests.support.evals import MarkedSandbox, config, lines, parts


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(console.err, "width", 500)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that a sandbox was opened with; it is a fake one."""
    found: list[Settings] = []

    @asynccontextmanager
    async def open_sandbox(config: Settings) -> AsyncIterator[MarkedSandbox]:
        found.append(config)
        yield MarkedSandbox()

    monkeypatch.setattr(wiring, "open_sandbox", open_sandbox)
    return found


def atlas(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def last(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    check = {"kind": "call", "call": "f(1)", "expected": "1"}
    rows = [{"id": name, "prompt": f"Write {name}.", "hidden": [check]} for name in ("a", "b")]
    return lines(rows, tmp_path / "mine.jsonl")


def samples(tmp_path: Path, *marks: str) -> Path:
    rows = [{"task_id": "a", "solution": f"# {mark}\nx = {n}\n"} for n, mark in enumerate(marks)]
    return lines([*rows, {"task_id": "z", "solution": ""}], tmp_path / "samples.jsonl")


def test_grade_prints_counts_and_keeps_a_book(tmp_path: Path, tasks: Path, opened: list[Settings]) -> None:
    path, book = samples(tmp_path, "right", "wrong", "right"), tmp_path / "book.jsonl"
    result = atlas("eval", "grade", path, "--problems", tasks, "--out", book, "--json")
    assert result.exit_code == 0, result.output
    found = last(result)
    assert found["problems"]["a"] == {"n": 3, "passed": 2, "near_limit": 0, "outcomes": {"FAIL": 1, "PASS": 2}}
    assert found["pass_at_1"]["value"] == pytest.approx(2 / 3) and found["pass_at_1"]["n"] == 1
    assert found["pass_at_k"].keys() == {"1", "2"}
    assert (found["missing"], found["unknown"], found["infrastructure"]) == (["b"], {"z": 1}, {})
    assert found["datasets"].keys() == {"mine"}
    assert opened[0].sandbox.reuse == found["reuse"] == 100
    assert len(book.read_text().splitlines()) == 3
    again = last(atlas("eval", "grade", path, "--problems", tasks, "--out", book, "--reuse", "1", "--json"))
    assert again["judged"] == 0 and opened[1].sandbox.reuse == 1


def test_a_sample_without_a_verdict_is_an_exit_code(tmp_path: Path, tasks: Path, opened: list[Settings]) -> None:
    path = samples(tmp_path, "right", "broken")
    result = atlas("eval", "grade", path, "--problems", tasks, "--json")
    assert result.exit_code == console.SANDBOX
    assert last(result)["infrastructure"].keys() == {"2"}


def test_a_file_without_samples_of_the_problems_is_a_configuration_error(tmp_path: Path, tasks: Path) -> None:
    path = lines([{"task_id": "other", "solution": ""}], tmp_path / "samples.jsonl")
    result = atlas("eval", "grade", path, "--problems", tasks)
    assert result.exit_code == console.CONFIG
    assert "its task ids are like 'other'" in result.output


def test_rank_without_a_model_says_so(tmp_path: Path, tasks: Path) -> None:
    result = atlas("eval", "rank", samples(tmp_path, "right", "wrong"), "--problems", tasks, "--json")
    assert result.exit_code == 0, result.output
    found = last(result)
    assert (found["ranker"], found["model"]) == ("agreement", "")
    assert "no model reads the programs" in found["because"]
    assert found["rankers"] == ["agreement", "first", "shortest"]
    assert [one["place"] for one in found["problems"]["a"]] == [1, 2]


def test_rank_with_a_model_reads_the_programs(tmp_path: Path, tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def open_llm(_: Settings) -> AsyncIterator[LLM]:
        yield ScriptLLM(rounds=[])

    monkeypatch.setattr(wiring, "open_llm", open_llm)
    monkeypatch.setenv("ATLAS_LLM__BASE_URL", "http://127.0.0.1:9")
    found = last(atlas("eval", "rank", samples(tmp_path, "right", "wrong"), "--problems", tasks, "--json"))
    assert (found["ranker"], found["model"]) == ("log-probability", "fake")
    assert all(one["costs"]["log-probability"] is not None for one in found["problems"]["a"])


def test_a_model_that_is_named_and_missing_is_no_reason_to_do_without(
    tmp_path: Path, tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_LLM__MODEL", "qwen2.5-coder-0.5b")
    result = atlas("eval", "rank", samples(tmp_path, "right"), "--problems", tasks)
    assert result.exit_code == console.CONFIG


def test_export_writes_what_evalplus_reads(tmp_path: Path, tasks: Path, opened: list[Settings]) -> None:
    folder, out = tmp_path / "run", tmp_path / "exported.jsonl"
    first = datasets.load(str(tasks)).problems[:1]
    asked = Asked(
        datasets=(str(tasks),), data=(), sha256=None, limit=None, ids=(), model="fake", quantisation="", engine=""
    )

    async def generate() -> None:
        with Run.open(folder, config()) as run:
            asked.write(folder)
            await Stages(run, parts(tmp_path), Concurrency()).all(first, Progress(total=1))

    anyio.run(generate)
    result = atlas("eval", "export", folder, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert last(result) == {"samples": 4, "tasks": 1, "missing": 1, "file": str(out)}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["a"] * 4 and all("def f(n)" in row["solution"] for row in rows)
    assert atlas("eval", "export", folder, "--out", out).exit_code == console.CONFIG
    graded = last(atlas("eval", "grade", out, "--problems", tasks, "--json"))
    assert graded["problems"]["a"]["passed"] == 2
