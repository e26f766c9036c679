"""The command line: data on stdout, words on stderr, and an exit code for who has to act."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from atlas import console, settings, wiring
from atlas.cli import app
from atlas.errors import ConfigError, ModelUnavailable
from atlas.rank import baseline
from atlas.service import Service
from atlas.settings import Settings
from atlas.solver import Solver
from sandbox.errors import SandboxUnavailable
from tests.support.domain import ScriptLLM, ScriptSandbox, code

ESCAPES = "\x1b[2J\x1b]0;t\x07"
RIGHT = code(f"x = 'right'  # {ESCAPES}")


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(console.err, "width", 500)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))


class Atlas:
    """`atlas` with fakes for what settings would open; remembers the parts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.llm, self.sandbox = ScriptLLM(rounds=[[RIGHT]]), ScriptSandbox()
        self.opening: Exception | None = None
        self.info = {"model": "fake"}
        monkeypatch.setattr(wiring, "open_service", self.open)

    @asynccontextmanager
    async def open(self, config: Settings) -> AsyncIterator[Service]:
        if self.opening is not None:
            raise self.opening
        solver = Solver(llm=self.llm, ranker=baseline("first"), sandbox=self.sandbox, budget=config.budget)
        yield Service(base=solver, info=self.info)

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.fixture
def atlas(monkeypatch: pytest.MonkeyPatch) -> Atlas:
    return Atlas(monkeypatch)


SOLVE = ("solve", "Write f.", "--check", "f(2) == 4")


def test_a_solved_task_prints_the_program_and_nothing_else_on_stdout(atlas: Atlas) -> None:
    done = atlas(*SOLVE)
    assert done.exit_code == 0
    assert done.stdout.strip().startswith("x = 'right'") and "verified" not in done.stdout
    assert "verified: 1 sandbox runs, 20 tokens" in done.stderr and "candidates.ranked" in done.stderr
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)


def test_what_was_chosen_is_told_with_the_reason(atlas: Atlas) -> None:
    atlas.info |= {"isolation": "wasm", "isolation_because": "no Docker engine answers"}
    done = atlas(*SOLVE)
    assert "isolation: wasm, because no Docker engine answers" in done.stderr and "wasm" not in done.stdout


def test_json_is_one_object_with_the_outcome(atlas: Atlas) -> None:
    done = atlas(*SOLVE, "--json", "--hidden", "f(31337) == 62674")
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found["outcome"] == "verified"
    assert found["program"] == f"x = 'right'  # {ESCAPES}\n" and "\x1b" not in done.stdout
    assert found["provenance"] == {"model": "fake"} and found["usage"]["sandbox_runs"] == 1
    assert len(atlas.sandbox.checks[0]) == 2
    assert "31337" not in done.stdout + done.stderr


def test_what_is_not_solved_ends_with_three_and_still_shows_the_last_program(atlas: Atlas) -> None:
    atlas.llm.rounds = [[code("x = 'wrong'")], [code("x = 'other'")]]
    done = atlas(*SOLVE, "--rounds", "2", "-n", "1", "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert found["outcome"] == "unsolved" and found["program"] == "x = 'other'\n" and len(found["attempts"]) == 2
    assert found["reason"] == "2 rounds are all that the budget allows"
    assert f"unsolved: 2 sandbox runs, 40 tokens; {found['reason']}" in done.stderr
    assert atlas.llm.asked[0][1].n == 1


def test_without_checks_a_program_is_unchecked(atlas: Atlas) -> None:
    done = atlas("solve", "Write f.", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["outcome"] == "unchecked"


def test_why_a_program_does_not_load_is_told_where_nothing_is_hidden(atlas: Atlas) -> None:
    atlas.llm.rounds = [[code("x = 'wrong'")]]
    found = json.loads(atlas("solve", "Write f.", "--rounds", "1", "--json").stdout)
    (loading,) = found["verdict"]["checks"]
    assert not loading["hidden"] and loading["stderr"] == "STDERR" and found["verdict"]["message"] == "expected 4"
    hidden = json.loads(atlas("solve", "Write f.", "--hidden", "f(2) == 4", "--json").stdout)["verdict"]
    assert hidden["checks"][0]["hidden"] and not hidden["checks"][0]["stderr"] and not hidden["message"]


def test_a_deadline_has_a_code_of_its_own(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_BUDGET__SECONDS", "0.2")
    atlas.sandbox.seconds = 20
    done = atlas(*SOLVE, "--json")
    assert done.exit_code == 124 and json.loads(done.stdout)["outcome"] == "timed_out"


FAILURES: list[tuple[str, Exception, int]] = [
    ("opening", ConfigError("set cost_field"), 8), ("opening", ModelUnavailable("no model server"), 4),
    ("opening", SandboxUnavailable("no engine"), 5), ("llm", ModelUnavailable("it went away"), 4),
    ("sandbox", SandboxUnavailable("it broke"), 5),
]


@pytest.mark.parametrize(("where", "error", "code"), FAILURES, ids=lambda x: str(x))
def test_the_exit_code_says_who_has_to_act(atlas: Atlas, where: str, error: Exception, code: int) -> None:
    if where == "opening":
        atlas.opening = error
    elif where == "llm":
        atlas.llm.rounds = [error]
    else:
        atlas.sandbox.answer = error
    done = atlas(*SOLVE)
    assert done.exit_code == code
    assert f"error: {error}" in done.stderr and "Traceback" not in done.stderr
    shown = atlas(*SOLVE, "--json")
    if where == "opening":
        assert shown.stdout == ""
    else:
        found = json.loads(shown.stdout)
        assert (found["outcome"], found["reason"]) == ("interrupted", str(error))


USAGE: dict[str, tuple[str, ...]] = {
    "no task": ("solve",), "two tasks": ("solve", "x", "-f", "y"), "no such file": ("solve", "-f", "/nowhere.json"),
    "a check that compares nothing": ("solve", "x", "--check", "f(2)"), "an empty prompt": ("solve", " "),
    "too many rounds": ("solve", "x", "--rounds", "999"), "no such option": ("solve", "x", "--fast"),
    "a negative seed": ("solve", "x", "--seed", "-1"),
}


@pytest.mark.parametrize("name", USAGE)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(name: str, atlas: Atlas) -> None:
    atlas.opening = AssertionError("opened")  # type: ignore[assignment]
    done = atlas(*USAGE[name])
    assert done.exit_code == 2 and done.stdout == "" and "Error" in done.stderr


NO_TASKS = {
    "no JSON": "{", "a list": "[]", "an unknown field": '{"prompt": "x", "colour": 1}',
    "an unknown language": '{"prompt": "x", "language": "cobol"}',
    "a budget that is a number": '{"prompt": "x", "budget": 5}',
    "no budget": '{"prompt": "x", "budget": null}', "too deep": '{"prompt": "x", "labels": ' + "[" * 100_000,
}


@pytest.mark.parametrize("name", NO_TASKS)
def test_a_task_file_that_is_no_task_is_refused(name: str, atlas: Atlas, tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(NO_TASKS[name])
    done = atlas("solve", "-f", str(tmp_path / "task.json"), "-n", "2")
    assert done.exit_code == 2 and "Invalid value" in done.stderr


def test_a_hidden_check_that_cannot_be_read_is_not_quoted(atlas: Atlas) -> None:
    done = atlas("solve", "x", "--hidden", "secret_31337(")
    assert done.exit_code == 2 and "31337" not in done.output


def test_a_task_comes_from_a_file_or_standard_input_and_the_program_goes_to_one(atlas: Atlas, tmp_path: Path) -> None:
    task: dict[str, Any] = {"prompt": "From a file.", "checks": ["f(1) == 2"], "budget": {"rounds": 1}, "seed": 4}
    (tmp_path / "task.json").write_text(json.dumps(task))
    assert atlas("solve", "-f", str(tmp_path / "task.json"), "--out", str(tmp_path / "o.py")).exit_code == 0
    assert (tmp_path / "o.py").read_text() == f"x = 'right'  # {ESCAPES}\n"
    assert atlas("solve", "-", stdin="From a pipe.").exit_code == 0
    (first, sampling), (second, _) = atlas.llm.asked
    assert "From a file." in first[1].content and sampling.seed == 4 and "From a pipe." in second[1].content


def test_a_program_is_not_lost_where_its_file_cannot_be_written(atlas: Atlas, tmp_path: Path) -> None:
    done = atlas(*SOLVE, "--out", str(tmp_path / "nowhere" / "o.py"))
    assert done.exit_code == 1 and "nowhere" in done.stderr and done.stdout.startswith("x = 'right'")


def test_where_tasks_are_kept_is_left_to_the_service_to_make_or_refuse(
    atlas: Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Path] = []
    monkeypatch.setattr("atlas.cli.api.serve", lambda config, *_, **__: served.append(config.database_path))
    monkeypatch.setattr(wiring, "docker_status", lambda _: "nobody answers")
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATLAS_API__DATABASE", str(tmp_path / "file" / "atlas.db"))
    assert atlas("serve").exit_code == 0 and served == [tmp_path / "file" / "atlas.db"]


def test_a_misspelt_variable_ends_every_command(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_RANKR", "first")
    for command in (SOLVE, ("doctor",), ("models", "ls"), ("serve",)):
        done = atlas(*command)
        assert done.exit_code == 8 and "did you mean ranker?" in done.stderr


def test_the_doctor_says_it_all_in_json_and_ends_with_eight_where_a_needed_part_is_missing(
    atlas: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas.doctor.docker_status", lambda host: "nobody answers")
    done = atlas("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 8 and found["ok"] is False
    assert {part["name"] for part in found["parts"]} >= {"model", "engine", "docker", "cost field"}
    words = atlas("doctor").stdout
    assert "MISSING  model" in words and "fix: atlas models pull" in words and "without  docker" in words


def test_models_are_listed(atlas: Atlas) -> None:
    rows = json.loads(atlas("models", "ls", "--json").stdout)
    assert [row["name"] for row in rows] == ["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"]
    assert all(row["path"] is None and len(row["sha256"]) == 64 for row in rows)
    assert "not pulled" in atlas("models", "ls").stdout


def test_an_unknown_model_cannot_be_pulled(atlas: Atlas) -> None:
    done = atlas("models", "pull", "gpt")
    assert done.exit_code == 8 and "qwen2.5-coder-0.5b" in done.stderr


def test_a_cost_field_that_is_not_there_and_a_recipe_that_is_none_get_a_sentence(atlas: Atlas, tmp_path: Path) -> None:
    done = atlas("costfield", "show", str(tmp_path))
    assert done.exit_code == 8 and "no Cost Field" in done.stderr
    (tmp_path / "recipe.json").write_text('{"membres": 3}')
    done = atlas("costfield", "train", str(tmp_path), "--out", "x", "--recipe", str(tmp_path / "recipe.json"))
    assert done.exit_code == 2 and "membres" in done.stderr
