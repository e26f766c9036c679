"""The house rules that a machine can check: who may import whom, who reads the environment, how long a file gets."""

from __future__ import annotations

import ast
import functools
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "atlas", "costfield", "sandbox")
FILES = sorted(path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MAY_IMPORT = {
    "api": {"api", "atlas", "costfield", "sandbox"},
    "atlas": {"atlas", "costfield", "sandbox"},
    "costfield": {"costfield"},
    "sandbox": {"sandbox"},
}
COMPOSES = {"atlas/cli.py"}
"""The command line starts the service, so it stands above the packages that it lies in."""

COMMANDS = ("cli", "cli_costfield", "cli_eval", "cli_label", "cli_policy", "cli_reports", "cli_samples", "cli_shared")
TOPMOST = {"atlas.wiring", *(f"atlas.{name}" for name in COMMANDS)}
MAY_USE_TOPMOST = {f"atlas/{name}.py" for name in COMMANDS}

READS_ENVIRONMENT = {
    "atlas/settings.py": "the settings",
    "atlas/llm/engine.py": "hands the engine's process its random key, which no argument list may show",
    "atlas/llm/engine_server.py": "takes that key out of its environment",
    "sandbox/reaper.py": "hands its environment on to the process that outlives it",
    "sandbox/guest/supervisor.py": "sets the environment of programs, inside the sandbox",
}

MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 40
LONGER_FILES = {
    "sandbox/expressions.py": (310, "one table of the expressions that a check may hold, case by case"),
}
LONGER_FUNCTIONS = {
    ("costfield/evaluate.py", "evaluate"): (50, "fills in one report, field by field"),
    ("costfield/metrics.py", "by_problem"): (50, "one pass over the pool for all of its counts"),
}
BANNED_NAMES = {"utils.py", "util.py", "helpers.py", "common.py", "manager.py", "misc.py"}


@functools.cache
def tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def imports(file: str) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 50 and "atlas/solver.py" in FILES


@pytest.mark.parametrize("file", FILES)
def test_imports_point_one_way(file: str) -> None:
    package = file.partition("/")[0]
    allowed = MAY_IMPORT["api" if file in COMPOSES else package]
    for module in imports(file):
        top = module.partition(".")[0]
        assert top not in PACKAGES or top in allowed, f"{file} imports {module}"
        assert module not in TOPMOST or file in MAY_USE_TOPMOST, f"{file} imports {module}, which stands above it"
        assert top != "tests", f"{file} imports {module}"


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("sandbox/guest/")])
def test_what_runs_in_the_sandbox_needs_the_standard_library_only(file: str) -> None:
    for module in imports(file):
        assert module.partition(".")[0] in sys.stdlib_module_names or module.startswith("sandbox.guest"), module


def test_the_loop_brings_no_machinery() -> None:
    """Imported for real: what its imports import counts too."""
    heavy = {"torch", "docker", "httpx", "wasmtime", "xllamacpp", "fastapi", "sqlalchemy"}
    program = f"import sys, atlas.solver; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("file", FILES)
def test_only_the_settings_read_the_environment(file: str) -> None:
    words = {"environ", "environb", "getenv", "getenvb"}
    reads = any(isinstance(node, ast.Attribute) and node.attr in words for node in ast.walk(tree(file)))
    reads = reads or any(module.partition("os.")[2] in words for module in imports(file))
    assert reads == (file in READS_ENVIRONMENT)


@pytest.mark.parametrize("file", FILES)
def test_nothing_grows_without_a_reason(file: str) -> None:
    most, _ = LONGER_FILES.get(file, (MAX_FILE_LINES, ""))
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) <= most, file
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            most, _ = LONGER_FUNCTIONS.get((file, node.name), (MAX_FUNCTION_LINES, ""))
            assert (node.end_lineno or node.lineno) - node.lineno < most, f"{file}: {node.name}"


def test_every_exception_is_still_needed() -> None:
    gone = [name for name in (*LONGER_FILES, *READS_ENVIRONMENT, *COMPOSES) if name not in FILES]
    short = [f for f in LONGER_FILES if len((ROOT / f).read_text("utf-8").splitlines()) <= MAX_FILE_LINES]
    assert not gone and not short


def test_names_say_something() -> None:
    assert not [file for file in FILES if Path(file).name in BANNED_NAMES]
    assert not {folder.name for folder in (ROOT / "tests").iterdir()} & set(PACKAGES)


def test_unit_tests_cannot_reach_out() -> None:
    with socket.socket() as one, pytest.raises(BaseException, match="move it to tests/integration"):
        one.connect(("127.0.0.1", 9))
