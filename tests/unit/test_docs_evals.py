"""What docs/evals.md says of figures, files and numbers is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from atlas import console
from atlas.evals.comparison import LEVEL, Comparison
from atlas.evals.evaluate import RESULTS
from atlas.evals.measures import RankerResults
from atlas.evals.paired import mcnemar, problems_needed
from atlas.evals.report.page import REPORT
from atlas.evals.results import Results
from atlas.evals.rows import CANDIDATES, PROBLEMS
from costfield.bootstrap import LEVEL as INTERVAL
from costfield.bootstrap import RESAMPLES
from costfield.metrics import BINS
from tests.support.evals import finished_run
from tests.support.reports import POOL, with_loop

TEXT = (Path(__file__).parents[2] / "docs" / "evals.md").read_text(encoding="utf-8")
FLAT = re.sub(r"\s+", " ", TEXT)


def first_column(heading: str) -> list[str]:
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall("`(.+?)`", cell)]


def test_every_figure_of_a_ranker_is_explained() -> None:
    assert first_column("What is measured") == list(RankerResults.model_fields)


def test_the_files_are_those_of_a_run() -> None:
    files = first_column("The files of a run")
    assert {PROBLEMS, CANDIDATES, RESULTS, REPORT} <= set(files)
    assert f"`schema_version` is {Results.model_fields['schema_version'].default}" in FLAT


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"{RESAMPLES:,} times" in FLAT and f"{BINS} bins" in FLAT and f"{INTERVAL:.0%} interval" in FLAT
    assert f"The exit code is {console.REGRESSION} " in FLAT and f"below {LEVEL}" in FLAT
    six, five = mcnemar(0, 6), mcnemar(0, 5)
    assert f"If 6 problems flip, all for the worse, McNemar's p is {six}; if 5 do, it is {five}." in FLAT
    assert f"If 1 problem of 4 flips, {problems_needed([1, 0, 0, 0])} problems like these are needed." in FLAT


def test_the_fields_that_are_named_exist() -> None:
    known = {*Comparison.model_fields, *Results.model_fields, *RankerResults.model_fields}
    for name in ("left_out", "flips", "pass_at_k", "infrastructure", "schema_version"):
        assert f"`{name}`" in TEXT and name in known


def test_anyone_computes_the_results_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run(tmp_path / "runs" / "a", POOL)
    with_loop(tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    exec(compile(program, "docs/evals.md", "exec"), {})
