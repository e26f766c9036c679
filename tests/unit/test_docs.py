"""What the documentation says is so: its commands, settings, links and events exist, and every dependency is locked."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from api.schemas import TaskRequest
from api.store import TaskOutcome, TaskStatus
from api.views import TaskView
from atlas import console
from atlas.cli import app
from atlas.evals.commands import read_results
from atlas.evals.rows import Rows
from atlas.settings import SHIPPED_FIELD, Settings
from atlas.types import Language, StdioCheck
from costfield.field import read_card

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines(page: Path) -> Iterator[list[str]]:
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line, comments=True)


def test_the_two_commands_stand_near_the_top() -> None:
    top = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25]
    assert any("make demo" in line for line in top) and any("make test" in line for line in top)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    mentioned = set(re.findall(r"`make ([a-z-]+)", text)) | {w[1] for w in shell_lines(page) if w[:1] == ["make"]}
    assert mentioned <= MAKE_TARGETS
    spoken = [shlex.split(line) for line in re.findall(r"`(atlas [^`\n]+)`", text) if "…" not in line]
    for words in [*spoken, *(w for w in shell_lines(page) if w[:1] in (["atlas"], [".venv/bin/atlas"]))]:
        check_command(words[1:])


def check_command(words: list[str]) -> None:
    """Each word up to the first argument is a command, and each option is one of that command's."""
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"atlas has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert options <= known, f"{command.name} has no option {options - known}"


def test_the_exit_codes_are_these() -> None:
    told = re.search(r"\| exit code .*?\n\n", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert told is not None
    codes = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", told[0], re.MULTILINE) for code in row.split(",")}
    used = {console.INTERNAL, console.USAGE, console.UNSOLVED, console.DEADLINE, console.MODEL, console.SANDBOX}
    assert codes == used | {0, console.REGRESSION, console.CONFIG, console.INTERRUPTED}


def test_the_measured_figures_are_those_of_the_shipped_card() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    e = read_card(SHIPPED_FIELD).evaluation
    one = e.selection
    assert f"trained on {e.candidates:,} labelled candidates of {e.problems:,} problems ({e.mixed} mixed)" in text
    assert f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" in text
    than = e.baselines["log-probability"]
    ahead = f"{than.field_minus_this.value:+.3f} [{than.field_minus_this.low:+.3f}, {than.field_minus_this.high:+.3f}]"
    assert f"log-probability in {than.selection.value:.3f}: {ahead}, paired" in text


@pytest.mark.parametrize("pools", ["", "-greedy-first"])
def test_the_measured_figures_are_those_of_the_published_runs(pools: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    runs = [read_results(ROOT / "benchmarks" / "runs" / f"{name}{pools}") for name in ("humaneval", "mbpp-test")]
    assert all(f"{run.mixed} mixed of {run.tasks}" in text for run in runs)
    rows = {name: name for name in runs[0].rankers if name not in ("oracle", "longest")}
    for name, shown in (rows | {"cost-field": "**Cost Field**"}).items():
        cells = [run.rankers[name].selection for run in runs]
        told = " | ".join(f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in cells if one)
        assert f"| {shown} | {told} |" in text
    ahead = [run.ahead["log-probability"] for run in runs]
    told = " | ".join(f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in ahead)
    assert f"paired | {told} |" in text


def test_the_published_tables_are_what_the_kept_rows_say() -> None:
    made = subprocess.run([sys.executable, "benchmarks/results.py", "--json"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert set(json.loads(made.stdout.splitlines()[-1])) == {
        "humaneval", "humaneval-greedy-first", "mbpp-test", "mbpp-test-greedy-first"
    }


def test_the_published_runs_hold_no_texts_of_problems() -> None:
    runs = sorted((ROOT / "benchmarks" / "runs").glob("*/problems.parquet"))
    assert len(runs) == 4 and not any(row.prompt for run in runs for row in Rows.read(run.parent).problems)


def settings_rows(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """The table of docs/configuration.md."""
    for key, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from settings_rows(inner, f"{prefix}{key}.")
        else:
            variable = f"ATLAS_{prefix}{key}".replace(".", "__").upper()
            yield f"| `{prefix}{key}` | `{variable}` | {default(field)} | {field.description or ''} |"


def default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == () or isinstance(value, SecretStr):
        return ""
    if isinstance(value, Path):
        value = value.relative_to(ROOT).as_posix() if value.is_relative_to(ROOT) else value
    return f"`{value:,}`".replace(",", "_") if isinstance(value, int) and value >= 10_000 else f"`{value}`"


def test_the_table_of_settings_is_whole() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line.startswith("| `")]
    expected = list(settings_rows())
    assert found == expected, "the table should be:\n" + "\n".join(expected)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            place = page.parent / file if file else page
            assert place.exists(), f"{name(page)} links to {target}"
            assert not anchor or anchor in anchors(place), f"{name(page)} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_are_named_exist(page: Path) -> None:
    """A path in backticks that begins with one of our folders is really there."""
    folders = "atlas|api|sandbox|costfield|tests|docs|examples|benchmarks"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists() or (page.parent / path).exists(), f"{name(page)} names {path}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_json_can_be_read_and_requests_are_valid(page: Path) -> None:
    for block in blocks(page, "json"):
        body = json.loads(block)
        if isinstance(body, dict) and set(body) & {"checks", "hidden_checks"} and "id" not in body:
            TaskRequest.model_validate(body)


def test_the_api_page_lists_languages_comparisons_and_endings() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    compare = StdioCheck.model_fields["compare"].annotation
    for value in (*get_args(Language), *get_args(compare), *get_args(TaskOutcome), *TaskStatus):
        assert f"`{value}`" in text, value
    assert "`reason`" in text and "reason" in TaskView.model_fields


def locked(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))


def package(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[._-]+", "-", match[0]).lower()


def test_every_dependency_is_locked() -> None:
    needed = {package(line) for line in PROJECT["project"]["dependencies"]} - {"torch"}
    needed |= {package(line) for line in PROJECT["build-system"]["requires"]}
    assert needed <= locked("requirements.lock").keys()
    extras = PROJECT["project"]["optional-dependencies"]
    tools = {package(line) for line in (*extras["dev"], *extras["bench"])}
    assert tools <= locked("requirements-dev.lock").keys()


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_has_a_hash_for_each_package_and_names_no_index(file: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / file).read_text(encoding="utf-8").strip())
    assert len(entries) == len(locked(file))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|index|find-links", "\n".join(entries))


def test_both_locks_agree() -> None:
    run, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert all(dev[name] == run[name] for name in dev.keys() & run.keys())
