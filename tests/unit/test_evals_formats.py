"""Loaders of published formats that bring plus inputs, dates, packed tests or other languages than Python."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import pickle
import sys
import zlib
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas import downloads
from atlas.errors import ConfigError
from atlas.evals import datasets
from atlas.evals.datasets import fetch, files, humaneval, livecodebench, mbpp, multipl_e
from atlas.evals.datasets.files import Content, Source
from atlas.evals.problems import Excluded, Problem
from atlas.prompts import messages
from atlas.types import AssertCheck, CallCheck, Check, StdioCheck
from tests.support.evals import DATA, HUMANEVAL_ROWS, rows


def content(name: str) -> Content:
    return Content.of((DATA / name).read_bytes(), name)


def made(rows: list[dict[str, Any]]) -> Content:
    return Content.of("".join(json.dumps(row) + "\n" for row in rows).encode(), "test.jsonl")


def test_humaneval_plus_adds_inputs_to_humaneval() -> None:
    problems, excluded = humaneval.parse_plus(content("humaneval.jsonl"), content("humaneval_plus.jsonl"))
    assert not excluded
    total = problems[0]
    assert total.plus is not None
    calls = [call.call for call in total.plus.calls]
    assert calls == ["total([1, 2])", "total([])", "total([1000000000000, 1])", "total(['x'])", "total([-1, -2, -3])"]
    assert {(c.compare, c.rel_tol, c.abs_tol) for c in total.plus.calls} == {("equal", 1e-7, 1e-6)}
    assert "$_CONTRACT_$" in total.plus.contract
    assert total.hidden, "HumanEval's own test stays"


def test_a_problem_that_the_plus_file_lacks_is_excluded_by_name() -> None:
    only = made(rows("humaneval_plus")[:1])
    problems, excluded = humaneval.parse_plus(content("humaneval.jsonl"), only)
    assert [p.id for p in problems] == ["HumanEval/9001"]
    assert excluded == [Excluded(id="HumanEval/9002", reason="the plus file does not have it")]


def test_a_function_with_several_right_answers_is_held_to_the_polynomial() -> None:
    row = {**rows("humaneval_plus")[0], "entry_point": "find_zero", "atol": 1e-4, "plus_input": [[[1, 2]]]}
    problems, _ = humaneval.parse_plus(made([HUMANEVAL_ROWS[0]]), made([row]))
    assert problems[0].plus is not None
    assert {(c.compare, c.abs_tol) for c in problems[0].plus.calls} == {("root", 1e-4)}


def test_a_bare_completion_is_put_behind_the_published_prompt() -> None:
    problems, _ = humaneval.parse(content("humaneval.jsonl"))
    program = problems[0].completed("    return sum(values)\n")
    assert program.source == HUMANEVAL_ROWS[0]["prompt"] + "    return sum(values)\n"


def test_sanitized_mbpp_is_one_array_and_imports_stand_before_the_asserts() -> None:
    problems, excluded = mbpp.parse_sanitized(content("sanitized-mbpp.json"))
    assert [p.id for p in problems] == ["mbpp/600", "mbpp/13"] and not excluded
    check = problems[1].task.checks[0]
    assert isinstance(check, AssertCheck)
    assert check.code == "import math\nassert math.isclose(root(4), 2.0, rel_tol=0.001)"


def test_livecodebench_reads_standard_input_and_methods() -> None:
    (total, pair), excluded = livecodebench.parse(content("livecodebench.jsonl"))
    assert not excluded
    assert total.task.checks == (StdioCheck(stdin="1 2\n", stdout="3\n", compare="decimals"),)
    assert total.hidden == (StdioCheck(stdin="2.25 2.25\n", stdout="4.50\n", compare="decimals"),)
    assert total.task.entry_point is None and "standard input" in total.task.prompt
    assert pair.task.checks == (CallCheck(call="Solution().pairUp([2, 1], 'a')", expected="['1a', '2a']"),)
    assert [c.expected for c in pair.hidden if isinstance(c, CallCheck)] == ["[]", "['-1c', '5c', '5c']"]
    assert "def pairUp(self, nums: List[int]" in pair.task.prompt


def run(problem: Problem, source: str) -> dict[str, Any]:
    """What the sandbox would see of a right program of our own, in this process."""
    space: dict[str, Any] = {}
    limit = sys.getrecursionlimit()
    try:
        exec(problem.runnable(problem.completed(source)).source, space)
    finally:
        sys.setrecursionlimit(limit)  # what is put before a program may raise it; other tests rely on it
    return space


@pytest.mark.parametrize(
    "source",
    [
        "class Solution:\n    def pairUp(self, nums: List[int], name):\n        return tuple(f'{n}a' for n in nums)",
        "def pairUp(nums, name):\n    return [f'{n}{name}' for n in Counter(nums).elements()]",
    ],
)
def test_livecodebench_names_are_there_and_a_tuple_does_for_a_list(source: str) -> None:
    _, pair = livecodebench.parse(content("livecodebench.jsonl"))[0]
    assert run(pair, source)["Solution"]().pairUp([1, 2], "a") == ["1a", "2a"]


@pytest.mark.parametrize(
    ("window", "ids"),
    [
        ("2024-08..2025-01", ["own1_a", "9001"]), ("2024-08..2024-12", ["own1_a"]), ("2024-08-18..", ["9001"]),
        ("..2025-01-03", ["own1_a"]), ("2025-01-04..2025-01-04", ["9001"]),
    ],
)
def test_a_window_of_dates_is_inclusive(window: str, ids: list[str]) -> None:
    found = datasets.load(f"livecodebench@{window}={DATA / 'livecodebench.jsonl'}")
    assert [p.id.partition("/")[2] for p in found.problems] == ids
    assert found.name == f"livecodebench@{window}"


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("livecodebench@2024", "written like 2024-08"), ("livecodebench@2024-13..", "day that does not exist"),
        ("livecodebench@2025-01..2024-01", "ends before it begins"), ("humaneval@2024-08..", "have no dates"),
        ("livecodbench", "no data set is called"),
    ],
)
def test_a_window_that_means_nothing_is_refused(what: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        datasets.load(what if what == "livecodbench" else f"{what}={DATA / 'livecodebench.jsonl'}")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


@pytest.mark.parametrize("value", [Evil(), ["a", "b"], {"a": 1}, b"bytes", 5])
def test_packed_tests_are_read_and_never_unpickled(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps(value))).decode()
    row = {**rows("livecodebench")[0], "private_test_cases": packed}
    problems, excluded = livecodebench.parse(made([row]))
    assert not problems and "its tests cannot be read" in excluded[0].reason
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_packed_tests_of_every_protocol_are_read(protocol: int) -> None:
    text = json.dumps([{"input": "é", "output": "1", "testtype": "stdin"}], ensure_ascii=False)
    packed = base64.b64encode(zlib.compress(pickle.dumps(text, protocol=protocol))).decode()
    problems, excluded = livecodebench.parse(made([{**rows("livecodebench")[0], "private_test_cases": packed}]))
    assert not excluded
    assert problems[0].hidden == (StdioCheck(stdin="é", stdout="1", compare="decimals"),)


@pytest.mark.parametrize("damage", ["not base64", base64.b64encode(b"not zlib").decode(), '[{"input": "1"}]'])
def test_tests_that_cannot_be_read_exclude_the_problem_by_name(damage: str) -> None:
    _, excluded = livecodebench.parse(made([{**rows("livecodebench")[0], "private_test_cases": damage}]))
    assert excluded[0].id == "livecodebench/own1_a"


def test_multipl_e_takes_asserts_apart_into_a_driver_and_its_answers() -> None:
    (tally, first), excluded = multipl_e.parse(content("multipl_e_js.jsonl"))
    assert not excluded
    assert tally.task.language == "javascript" and tally.task.checks == tally.hidden == ()
    before, after = tally.harness
    assert '_atlas_show(tally("(,"))' in after and "process.stdout.write" in before
    assert tally.expected is not None and '_atlas_show({"(,": 1})' in tally.expected.source
    assert '"(,": 1' not in after, "a driver knows inputs only"
    assert first.completed("  return items[0];\n}").source.endswith("function first(items){\n  return items[0];\n}\n")


def test_multipl_e_excludes_by_name_what_cannot_be_taken_apart() -> None:
    problems, excluded = multipl_e.parse(content("multipl_e_cpp.jsonl"))
    assert [p.task.entry_point for p in problems] == ["spread", "halves"]
    assert [e.id for e in excluded] == ["multipl-e-cpp/HumanEval_9003_either"]
    _, excluded = multipl_e.parse(content("multipl_e_sh.jsonl"))
    assert [e.id for e in excluded] == ["multipl-e-sh/HumanEval_9002_odd"]
    _, excluded = multipl_e.parse(made([{**rows("multipl_e_js")[0], "language": "rkt"}]))
    assert excluded[0].reason == "no sandbox runs rkt"


def test_a_parquet_file_holds_the_same_records(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows("multipl_e_js")), sink)
    (tmp_path / "multipl-e-js.parquet").write_bytes(sink.getvalue())
    found = datasets.load("multipl-e-js", folders=[tmp_path], cache=tmp_path / "cache")
    assert found.problems[0].harness == multipl_e.parse(content("multipl_e_js.jsonl"))[0][0].harness
    (tmp_path / "multipl-e-js.parquet").write_bytes(sink.getvalue()[:-8])
    with pytest.raises(ConfigError, match="not a whole Parquet file"):
        datasets.load("multipl-e-js", folders=[tmp_path], cache=tmp_path / "cache")


def hidden_texts(problem: Problem) -> list[str]:
    """Everything of a problem that no prompt may hold."""

    def text(check: Check) -> str:
        match check:
            case AssertCheck():
                return check.code
            case CallCheck():
                return check.call
        return check.stdin

    found = [text(check) for check in problem.hidden]
    found += [call.call for call in problem.plus.calls[1:]] if problem.plus else []
    found += [problem.expected.source, problem.harness[1]] if problem.expected else []
    return found


FORMATS = {
    "humaneval+": lambda: humaneval.parse_plus(content("humaneval.jsonl"), content("humaneval_plus.jsonl")),
    "mbpp-sanitized": lambda: mbpp.parse_sanitized(content("sanitized-mbpp.json")),
    "livecodebench": lambda: livecodebench.parse(content("livecodebench.jsonl")),
    **{
        f"multipl-e-{name}": lambda name=name: multipl_e.parse(content(f"multipl_e_{name}.jsonl"))
        for name in ("js", "cpp", "sh")
    },
}


@pytest.mark.parametrize("name", FORMATS)
def test_no_prompt_holds_the_text_of_a_hidden_check(name: str) -> None:
    problems, _ = FORMATS[name]()
    assert problems
    for one in problems:
        sent = "\n".join(message.content for message in messages(one.task))
        assert hidden_texts(one)
        for text in hidden_texts(one):
            assert text.strip() and text.strip() not in sent, one.id


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("hf:own/set/a/b.jsonl", "https://huggingface.co/datasets/own/set/resolve/main/a/b.jsonl"),
        ("hf:own/set@abc/b.jsonl", "https://huggingface.co/datasets/own/set/resolve/abc/b.jsonl"),
        ("https://example.invalid/b.jsonl", "https://example.invalid/b.jsonl"),
    ],
)
def test_a_hub_name_is_an_https_address(name: str, url: str) -> None:
    assert fetch.address(name) == url


def test_a_hub_name_without_a_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="hf:owner/name/path"):
        fetch.address("hf:own/set")


def own(data: bytes, **changes: Any) -> Source:
    fields = {"key": "own", "names": ("own.jsonl",), "sha256": None, "url": "https://example.invalid/own", **changes}
    return Source(**fields)


def test_the_first_download_pins_a_file_without_a_published_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "download", lambda _: b'{"a": 1}\n')
    assert files.find(own(b""), cache=tmp_path).sha256 == files.find(own(b""), cache=tmp_path).sha256
    (tmp_path / "problems" / "own.jsonl").write_bytes(b'{"a": 2}\n')
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        files.find(own(b""), cache=tmp_path)


def test_a_large_file_is_taken_up_where_it_broke_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'{"a": 1}\n' * 100
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("range"))
        start = int((asked[-1] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return httpx.Response(206, stream=httpx.ByteStream(data[start:]), headers=headers)

    def through(url: str, partial: Path, total: int, advance: downloads.Advance) -> None:
        original(url, partial, total, advance, transport=httpx.MockTransport(answer))

    original = downloads.from_hub
    monkeypatch.setattr(downloads, "from_hub", through)
    kept = tmp_path / "problems"
    kept.mkdir()
    (kept / "own.jsonl.partial").write_bytes(data[:40])
    source = own(data, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    assert files.find(source, cache=tmp_path).data == data
    assert asked == ["bytes=40-"]
    assert [path.name for path in kept.iterdir()] == ["own.jsonl"]
