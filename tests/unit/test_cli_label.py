"""`atlas label` and `atlas costfield rename` as commands, with a model and a sandbox that follow a script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from atlas import cli_shared, console, settings
from atlas.cli import app
from atlas.evals.stages import Concurrency
from costfield.shards import load_examples, read_manifest
from tests.support.evals import HashFingerprinter, MarkedSandbox, ScriptedLLM, lines


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(console.err, "width", 500)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def atlas(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> ScriptedLLM:
    llm = ScriptedLLM()

    @asynccontextmanager
    async def parts(config: settings.Settings) -> AsyncIterator[Any]:
        yield llm, HashFingerprinter(), MarkedSandbox()

    monkeypatch.setattr(cli_shared, "parts", parts)
    return llm


def tasks(path: Path, *names: str) -> Path:
    hidden = [{"kind": "call", "call": "f(9)", "expected": "9"}]
    return lines([{"id": name, "prompt": f"Write {name}.", "hidden": hidden} for name in names], path)


def test_costfield_labels_of_own_problems(laboratory: ScriptedLLM, tmp_path: Path) -> None:
    mine = tasks(tmp_path / "mine.jsonl", "a", "b")
    done = atlas("label", "--problems", mine, "--out", tmp_path / "labelled", "-k", "4", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"problems": 2, "excluded": 0, "troubles": 0, "out": str(tmp_path / "labelled")}
    assert read_manifest(tmp_path / "labelled").purpose == "training"
    assert len(load_examples(tmp_path / "labelled")) == 8
    again = atlas("label", mine, "--out", tmp_path / "labelled", "-k", "4")
    assert again.exit_code == 0 and len(laboratory.asked) == 2


def test_costfield_pools_are_made_on_purpose_and_never_trained_on(laboratory: ScriptedLLM, tmp_path: Path) -> None:
    mine, out = tasks(tmp_path / "mine.jsonl", "a", "b"), tmp_path / "labelled"
    guarded = atlas("label", "--problems", mine, "--guard", mine, "--out", out, "-k", "4")
    assert guarded.exit_code == 8 and "2 problems, a among them, are kept for measuring" in guarded.stderr
    assert "--pool" in guarded.stderr and not laboratory.asked
    assert atlas("label", "--problems", mine, "--out", out, "-k", "4", "--pool").exit_code == 0
    assert read_manifest(out).purpose == "evaluation" and len(load_examples(out)) == 8
    refused = atlas("costfield", "train", out, "--out", tmp_path / "field")
    assert refused.exit_code == 8 and "is an evaluation pool" in refused.stderr
    mixed_up = atlas("label", "--problems", mine, "--out", out, "-k", "4")
    assert mixed_up.exit_code == 8 and "holds problems labelled for evaluation" in mixed_up.stderr


@pytest.mark.parametrize("option", [("-k", "0"), ("-k", "257"), ("--limit", "-1"), ("--temperature", "-1")])
def test_costfield_what_cannot_be_asked_for_is_refused(
    laboratory: ScriptedLLM, tmp_path: Path, option: tuple[str, str]
) -> None:
    mine = tasks(tmp_path / "mine.jsonl", "a", "b")
    for command in (("label", "--problems", mine, "--out", tmp_path / "labelled"), ("eval", "run", mine)):
        assert atlas(*command, *option).exit_code == console.USAGE
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]


def test_costfield_three_limits_of_an_evaluation_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {"EVALS__MODEL": "3", "EVALS__FINGERPRINT": "5", "SANDBOX_": "7"}.items():
        monkeypatch.setenv(f"ATLAS_{name}_CONCURRENCY", most)
    assert cli_shared.limits(settings.load()) == Concurrency(model=3, fingerprint=5, sandbox=7)


def test_costfield_label_says_which_problems_it_wants(laboratory: ScriptedLLM, tmp_path: Path) -> None:
    done = atlas("label", "--out", tmp_path / "labelled")
    assert done.exit_code == 2 and "--problems mine.jsonl" in done.stderr


def test_costfield_rename_wants_problems_and_labels(tmp_path: Path) -> None:
    done = atlas("costfield", "rename", tmp_path / "labelled")
    assert done.exit_code == 2 and "--problems mine.jsonl" in done.stderr
