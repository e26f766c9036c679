"""The commands' insides: own tasks from a file to results and shards, and what is refused before it is paid for."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.errors import ConfigError
from atlas.evals.commands import Plan, read_results, run_eval, run_label
from costfield.shards import load_examples
from tests.support.evals import HashFingerprinter, MarkedSandbox, ScriptedLLM, lines

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def task(name: str, **changes: Any) -> dict[str, Any]:
    hidden = [{"kind": "call", "call": "f(9)", "expected": "9"}]
    return {"id": name, "prompt": f"Write {name}.", "hidden": hidden, **changes}


def plan(tmp_path: Path, *rows: dict[str, Any], **changes: Any) -> Plan:
    path = lines(rows or [task("a"), task("b"), task("c")], tmp_path / "mine.jsonl")
    fields = {"datasets": (str(path),), "folder": tmp_path / "run", "cache": tmp_path / "cache", "k": 4, **changes}
    return Plan(**fields)


async def go(made: Plan, llm: ScriptedLLM | None = None, out: io.StringIO | None = None) -> Any:
    llm = llm or ScriptedLLM()
    return await run_eval(made, llm, HashFingerprinter(), MarkedSandbox(), None, progress_to=out or io.StringIO())


async def test_an_evaluation_of_own_tasks_ends_in_results_that_can_be_read_back(tmp_path: Path) -> None:
    out = io.StringIO()
    found = await go(plan(tmp_path), out=out)
    assert (found.tasks, found.mixed, found.candidates) == (3, 3, 12)
    assert found.selection["random"] == 0.5
    assert found.config.datasets.keys() == {"mine"}
    assert read_results(tmp_path / "run") == found
    assert "3/3 problems, 3 solved, 0 failed, 12 candidates, 50% passed" in out.getvalue()


async def test_an_evaluation_that_is_done_asks_nobody_again(tmp_path: Path) -> None:
    first = await go(plan(tmp_path))
    llm = ScriptedLLM()
    assert await go(plan(tmp_path), llm) == first
    assert llm.asked == []


async def test_a_limit_takes_the_first_problems_and_more_can_follow(tmp_path: Path) -> None:
    assert (await go(plan(tmp_path, limit=2))).tasks == 2
    llm = ScriptedLLM()
    assert (await go(plan(tmp_path), llm)).tasks == 3
    assert len(llm.asked) == 1


async def test_problems_can_be_named(tmp_path: Path) -> None:
    assert (await go(plan(tmp_path, ids=("b",)))).tasks == 1
    with pytest.raises(ConfigError, match="no such problem: zz"):
        await go(plan(tmp_path, ids=("zz",)))


async def test_labels_of_own_tasks(tmp_path: Path) -> None:
    outcome = await run_label(
        plan(tmp_path), ScriptedLLM(), HashFingerprinter(), MarkedSandbox(), tmp_path / "shards",
        progress_to=io.StringIO(),
    )
    assert len(outcome.done) == 3
    assert len(load_examples(tmp_path / "shards")) == 12


async def test_problems_that_are_kept_for_measuring_cannot_be_labelled(tmp_path: Path) -> None:
    made = plan(tmp_path)
    llm = ScriptedLLM()
    with pytest.raises(ConfigError, match="3 problems, a among them, are kept for measuring"):
        await run_label(made, llm, HashFingerprinter(), MarkedSandbox(), tmp_path / "s", guards=made.datasets)
    assert llm.asked == []


def test_results_that_are_not_there_or_damaged_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no results\.json"):
        read_results(tmp_path)
    for damaged in ("{}", '{"schema_version": 2,'):
        (tmp_path / "results.json").write_text(damaged)
        with pytest.raises(ConfigError, match=r"cannot be read: .*delete it") as caught:
            read_results(tmp_path)
        assert "\n" not in str(caught.value), "one sentence, not a traceback of the parser"


FILES = ("completions/b.parquet", "fingerprints/b.parquet", "grades/b.parquet", "scores/first.parquet")


@pytest.mark.parametrize("file", FILES)
async def test_a_file_of_a_run_that_is_cut_short_is_named_and_nothing_is_overwritten(tmp_path: Path, file: str) -> None:
    done = await go(plan(tmp_path))
    path = tmp_path / "run" / file
    path.write_bytes(path.read_bytes()[:-20])
    before = {one: one.read_bytes() for one in (tmp_path / "run").rglob("*.parquet")}
    with pytest.raises(ConfigError, match=rf"{path.name} is damaged: restore it, or delete it") as caught:
        await go(plan(tmp_path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert {one: one.read_bytes() for one in (tmp_path / "run").rglob("*.parquet")} == before
    path.unlink()
    assert await go(plan(tmp_path)) == done, "what was deleted is made again"


@pytest.mark.parametrize("changes", [{"k": 0}, {"temperature": -1.0}, {"temperature": float("nan")}])
async def test_what_cannot_be_sampled_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    (name,) = changes
    with pytest.raises(ConfigError, match=rf"^{name}: Input should be greater than or equal to \d"):
        await go(plan(tmp_path, **changes))
    assert not (tmp_path / "run").exists()


SECRETS = st.text(st.characters(codec="ascii", categories=("Lu",)), min_size=12, max_size=12)


def _hidden(kind: str, secret: str) -> dict[str, Any]:
    if kind == "call":
        return {"kind": "call", "call": f"f({secret!r})", "expected": f"{secret!r}"}
    if kind == "stdio":
        return {"kind": "stdio", "stdin": secret, "stdout": secret}
    return {"kind": "assert", "code": f"assert f({secret!r}) == 1"}


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["call", "stdio", "assert"]), SECRETS), min_size=1, max_size=6))
def test_whatever_is_hidden_no_prompt_that_is_sent_holds_it(hidden: list[tuple[str, str]]) -> None:
    rows = [
        task(f"t{i}", hidden=[_hidden(kind, secret)], reference=f"# right\n# {secret}\n", group=secret)
        for i, (kind, secret) in enumerate(hidden)
    ]
    llm = ScriptedLLM()
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(go, plan(Path(folder), *rows), llm)
    sent = json.dumps([[message.model_dump() for message in asked] for asked in llm.asked])
    assert "Write t0." in sent
    for _, secret in hidden:
        assert secret not in sent
