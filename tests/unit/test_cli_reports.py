"""`atlas eval resume`, `compare` and `report`: one JSON object last, and an exit code for who has to act."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner, Result

from atlas import console, settings, wiring
from atlas.cli import app
from atlas.evals.commands import Plan, run_eval
from tests.support.evals import HashFingerprinter, MarkedSandbox, ScriptedLLM, finished_run, lines
from tests.support.reports import POOL, with_loop

RIGHT, WRONG = [(0.1, 0.9, True), (0.2, 0.4, False)], [(0.1, 0.9, False), (0.2, 0.4, True)]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(console.err, "width", 500)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))


def atlas(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


def last(result: Result) -> dict[str, Any]:
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_regression_exits_with_7_and_says_where(tmp_path: Path) -> None:
    names = [f"p{i:02}" for i in range(12)]
    finished_run(tmp_path / "a", {name: RIGHT for name in names})
    finished_run(tmp_path / "b", {name: WRONG for name in names})
    worse = atlas("compare", tmp_path / "a", tmp_path / "b", "--json")
    assert worse.exit_code == console.REGRESSION == 7
    found = last(worse)
    assert found["regression"] and len(found["flips"]) == 12 and found["metrics"]["pass_at_1"]["lost"] == 12
    assert found["flips"][0]["a"]["source"].startswith("def p00")
    assert "B is shown to be worse" in worse.stderr and "B loses 12: p00, p01" in worse.stderr
    better = atlas("compare", tmp_path / "b", tmp_path / "a", "--json")
    assert better.exit_code == 0 and last(better)["ok"]


def test_a_level_that_is_not_reached_exits_with_7(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", POOL)
    assert atlas("compare", f"{tmp_path / 'a'}:random", tmp_path / "a", "--fail-under", "0.2").exit_code == 0
    low = atlas("compare", f"{tmp_path / 'a'}:random", tmp_path / "a", "--fail-under", "0.9", "--json")
    assert low.exit_code == 7 and not last(low)["regression"]
    for level in ("nan", "55"):  # a gate that would always be open, and one that would always be shut
        assert atlas("compare", tmp_path / "a", tmp_path / "a", "--fail-under", level).exit_code == console.USAGE


def test_a_run_whose_rows_are_damaged_says_so_in_one_sentence(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", POOL)
    rows = tmp_path / "a" / "candidates.parquet"
    rows.write_bytes(rows.read_bytes()[:-20])
    for command in (("report", tmp_path / "a"), ("compare", tmp_path / "a", tmp_path / "a")):
        result = atlas(*command)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (console.CONFIG, "", 1)
        assert "candidates.parquet is damaged" in result.stderr


def test_what_does_not_compare_exits_with_8_and_one_sentence(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", POOL)
    for other in (tmp_path / "gone", f"{tmp_path}/a:nobody"):
        result = atlas("compare", tmp_path / "a", other)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (console.CONFIG, "", 1)


def test_a_report_says_where_its_files_are(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", POOL)
    found = last(atlas("report", tmp_path / "a", "--against", f"{tmp_path / 'a'}:random", "--json"))
    assert found.keys() == {"report", "bytes", "results", "problems", "candidates", "loops"} and found["loops"] == {}
    assert all(Path(path).exists() for name, path in found.items() if name not in ("bytes", "loops"))
    assert Path(found["report"]).stat().st_size == found["bytes"]
    assert atlas("report", tmp_path / "gone").exit_code == console.CONFIG
    loop = with_loop(tmp_path / "a")
    told = last(atlas("report", tmp_path / "a", "--json"))["loops"][loop.setup.name]
    kept = json.loads(Path(found["results"]).read_text())["loops"][loop.setup.name]
    assert told["seconds_per_solved"]["value"] == 2.25 and kept.items() >= told.items()


def test_a_finished_run_is_left_alone_and_opens_neither_model_nor_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = [{"kind": "call", "call": "f(9)", "expected": "9"}]
    tasks = lines([{"id": "a", "prompt": "Write a.", "hidden": hidden}], tmp_path / "mine.jsonl")
    plan = Plan(datasets=(str(tasks),), folder=tmp_path / "run", cache=tmp_path / "cache", k=2)

    async def go() -> None:
        await run_eval(plan, ScriptedLLM(), HashFingerprinter(), MarkedSandbox(), None, progress_to=io.StringIO())

    anyio.run(go)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is missing, so nothing is opened")

    monkeypatch.setattr(wiring, "open_llm", refuse)
    monkeypatch.setattr(wiring, "open_sandbox", refuse)
    result = atlas("resume", tmp_path / "run", "--json")
    assert result.exit_code == 0 and "nothing was missing" in result.stderr
    assert last(result) == json.loads((tmp_path / "run" / "results.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in before} == before

    (tmp_path / "run" / "results.json").unlink()
    assert isinstance(atlas("resume", tmp_path / "run").exception, AssertionError), "now something is missing"
    assert atlas("resume", tmp_path / "none").exit_code == console.CONFIG
