"""`atlas eval policy` over the files that pools are kept in: a run's folder, labelled shards, and neither."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from atlas import console, settings
from atlas.cli import app
from atlas.evals.commands import Plan, run_eval
from atlas.evals.label import SCHEMA
from atlas.evals.parts import write_rows
from atlas.evals.policy_pools import labelled_pool
from atlas.types import Program, digest
from costfield.data import Examples
from costfield.field import CostField
from costfield.shards import append_shard
from costfield.train import train
from tests.support.evals import WIDTH, HashFingerprinter, MarkedSandbox, ScriptedLLM, lines
from tests.support.labelled import QUICK, labelled


def examples(kind: str, names: tuple[str, ...], dims: int) -> Examples:
    made = labelled(problems=60, dims=dims)
    scalars = np.stack([made.scalars[:, 0] - i for i in range(len(names))], axis=1)
    return labelled(problems=60, dims=dims, fingerprint_id=kind, scalar_names=names, scalars=scalars)


def kept(field: CostField, folder: Path) -> Path:
    field.save(folder)
    return folder


@pytest.fixture(scope="module")
def run_field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A field for what `HashFingerprinter` makes."""
    return kept(train(examples("fp-test", ("length",), WIDTH), QUICK), tmp_path_factory.mktemp("field"))


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(console.err, "width", 500)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))


def atlas(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", "policy", *arguments])


def run_folder(tmp_path: Path) -> Path:
    hidden = [{"kind": "call", "call": "f(9)", "expected": "9"}]
    check = [{"kind": "call", "call": "f(1)", "expected": "1"}]
    tasks: list[dict[str, Any]] = [
        {"id": name, "prompt": f"Write {name}.", "hidden": hidden, "checks": check} for name in "abc"
    ]
    plan = Plan(datasets=(str(lines(tasks, tmp_path / "mine.jsonl")),), folder=tmp_path / "run", k=4)

    async def go() -> None:
        await run_eval(plan, ScriptedLLM(), HashFingerprinter(), MarkedSandbox(), None, progress_to=io.StringIO())

    anyio.run(go)
    return plan.folder


@pytest.mark.parametrize("sees", ["all", "visible"])
def test_a_graded_run_is_played(sees: str, tmp_path: Path, run_field: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_COST_FIELD", str(run_field))
    done = atlas(str(run_folder(tmp_path)), "--sees", sees, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["problems"], found["k"], found["sees"]) == (3, 4, sees)
    fixed = found["policies"]["fixed k, one run"]
    assert fixed["completions"]["value"] == 4 and fixed["runs"]["value"] == 1
    assert fixed["tokens"]["value"] == 38 and fixed["solved"]["n"] == 3
    free = found["policies"]["fixed k, every run until a pass"]
    if sees == "all":
        assert free["solved"]["value"] == 1 and free["wrong"]["value"] == 0
    else:
        assert fixed["solved"]["value"] + fixed["wrong"]["value"] == 1, "the visible check passes for wrong ones too"
    assert "3 problems, 4 completions each" in done.stderr


def test_a_folder_that_holds_no_pool_is_refused(
    tmp_path: Path, run_field: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_COST_FIELD", str(run_field))
    done = atlas(str(tmp_path))
    assert done.exit_code == console.CONFIG and "no run" in done.stderr


def shards(folder: Path, made: Examples) -> Path:
    """`made` as `atlas label` keeps it, with a program for each row."""
    append_shard(folder, made)
    assert made.index is not None and made.fault is not None
    rows = []
    for problem, index, fault in zip(made.problem.tolist(), made.index.tolist(), made.fault.tolist(), strict=True):
        source = f"def f(x):\n    return {index}  # {problem}\n"
        rows.append(
            {
                "problem": problem, "problem_digest": "0", "digest": digest(Program(source=source)), "index": index,
                "copies": 1, "source": source, "outcome": fault, "integrity": "strong", "isolation": "docker",
                "failed": None, "message": "", "unfingerprinted": "",
            }
        )
    write_rows(folder / "programs-00000.parquet", rows, SCHEMA, about={"shard": 0})
    return folder


def test_labelled_shards_are_ranked_by_networks_that_did_not_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = examples("fp-labels", ("logprob_mean", "logprob_sum"), 6)
    field = train(made, QUICK)
    folder = shards(tmp_path / "shards", made)
    pool = labelled_pool(folder, field)
    assert sorted(one.task.id for one in pool) == sorted(set(made.problem.tolist()))
    assert all(len(one.completions) == 6 and len(one.passed) == 6 for one in pool)
    assert len({id(one.ranker.ranker.field) for one in pool}) == QUICK.folds  # type: ignore[attr-defined]
    monkeypatch.setenv("ATLAS_COST_FIELD", str(kept(field, tmp_path / "field")))
    done = atlas(str(folder))
    assert done.exit_code == 0 and "60 problems, 6 completions each" in done.stderr
    refused = atlas(str(folder), "--sees", "visible")
    assert refused.exit_code == console.CONFIG and "name a run" in refused.stderr
