"""Going on with a run that is known by its folder alone."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import ConfigError
from atlas.evals.asked import Asked, quantisation
from atlas.evals.commands import Plan, run_eval
from atlas.evals.resume import finished, stored_plan
from atlas.models import CATALOGUE, DEFAULT
from tests.support.evals import CAPABILITIES, HashFingerprinter, MarkedSandbox, ScriptedLLM, lines

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def task(name: str) -> dict[str, Any]:
    return {"id": name, "prompt": f"Write {name}.", "hidden": [{"kind": "call", "call": "f(9)", "expected": "9"}]}


def plan(tmp_path: Path, **changes: Any) -> Plan:
    lines([task("a"), task("b"), task("c")], tmp_path / "mine.jsonl")
    fields = {"datasets": ("mine.jsonl",), "folder": tmp_path / "run", "cache": tmp_path / "cache", "k": 4, **changes}
    return Plan(**fields)


async def go(made: Plan, llm: ScriptedLLM) -> Any:
    return await run_eval(made, llm, HashFingerprinter(), MarkedSandbox(), None, progress_to=io.StringIO())


async def test_the_stored_plan_is_the_one_that_began_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = plan(tmp_path, temperature=0.5, limit=2, data=(Path("files"),))
    await go(made, ScriptedLLM())
    monkeypatch.chdir("/")  # the folder is all that is needed, wherever one stands
    again = stored_plan(made.folder, cache=made.cache)
    assert again.datasets == (str(tmp_path / "mine.jsonl"),)
    assert again.data == (tmp_path / "files",)
    assert (again.k, again.temperature, again.limit, again.max_tokens) == (4, 0.5, 2, made.max_tokens)


async def test_what_is_missing_is_done_and_a_finished_run_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    down = await go(plan(tmp_path), ScriptedLLM(down=("b",)))
    assert list(down.infrastructure) == ["b"]
    again = stored_plan(tmp_path / "run", cache=tmp_path / "cache")
    assert finished(again) is None
    llm = ScriptedLLM()
    found = await go(again, llm)
    assert (found.tasks, found.infrastructure, len(llm.asked)) == (3, {}, 1)
    assert finished(again) == found


@pytest.mark.parametrize("gone", ["results.json", "candidates.parquet"])
async def test_results_that_are_gone_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.chdir(tmp_path)
    await go(plan(tmp_path), ScriptedLLM())
    (tmp_path / "run" / gone).unlink()
    again, llm = stored_plan(tmp_path / "run", cache=tmp_path / "cache"), ScriptedLLM()
    assert finished(again) is None
    found = await go(again, llm)
    assert llm.asked == [] and finished(again) == found


async def test_a_run_that_was_asked_for_more_since_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await go(plan(tmp_path, limit=2), ScriptedLLM())
    assert finished(plan(tmp_path, limit=2)) is not None
    assert finished(plan(tmp_path)) is None


async def test_a_data_set_that_changed_since_is_not_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = plan(tmp_path)
    await go(made, ScriptedLLM())
    lines([task("a"), task("b"), {**task("c"), "prompt": "Write it otherwise."}], tmp_path / "mine.jsonl")
    assert finished(made) is None
    with pytest.raises(ConfigError, match="mine is another file than before"):
        await go(made, ScriptedLLM())


def test_a_folder_that_does_not_say_what_it_is_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        stored_plan(tmp_path)
    (tmp_path / "asked.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"asked\.json cannot be read"):
        Asked.read(tmp_path)


@pytest.mark.parametrize(
    ("model", "sha256", "found"),
    [
        ("fake", None, ""),
        (DEFAULT, CATALOGUE[DEFAULT].sha256, "Q4_K_M"),
        ("Llama-3-8B.Q5_K_S.gguf", None, "Q5_K_S"),
        ("some-model-bf16", None, "BF16"),
        ("TheBloke/CodeLlama-7B-AWQ", None, "AWQ"),
        ("q4fun", None, ""),
    ],
)
def test_the_quantisation_is_read_off_the_models_file(model: str, sha256: str | None, found: str) -> None:
    said = replace(CAPABILITIES, model=model, model_sha256=sha256)
    assert quantisation(said) == found


def test_a_server_that_says_nothing_of_its_weights_is_not_guessed_at() -> None:
    assert quantisation(CAPABILITIES) == ""
