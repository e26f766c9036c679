"""Loaders: the published formats, hidden checks kept out of tasks, and files that are not what they should be."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import httpx
import pytest

from atlas.errors import ConfigError
from atlas.evals import datasets
from atlas.evals.datasets import fetch, files, humaneval, leetcode, mbpp, tasks
from atlas.evals.datasets.files import Content, Source
from atlas.evals.datasets.inputs import Shape, ShapeError, literal_call
from atlas.prompts import messages
from atlas.types import AssertCheck, CallCheck
from tests.support.evals import HUMANEVAL_ROWS, LEETCODE_ROWS, MBPP_PLUS_ROWS, MBPP_ROWS, lines


def content(rows: list[dict[str, object]]) -> Content:
    return Content.of("".join(json.dumps(row) + "\n" for row in rows).encode(), "test.jsonl")


def test_humaneval_presents_a_function_to_complete_and_hides_its_tests() -> None:
    problems, excluded = humaneval.parse(content(HUMANEVAL_ROWS))
    assert not excluded
    first = problems[0]
    assert first.task.entry_point == "total"
    assert first.task.checks == ()
    assert 'def total(values: List[int]) -> int:\n    """Add up' in first.task.prompt
    assert first.hidden[0].code.endswith("check(total)\n")  # type: ignore[union-attr]
    assert first.reference is not None
    namespace: dict[str, object] = {}
    exec(first.reference.source + first.hidden[0].code, namespace)  # type: ignore[union-attr]


def test_mbpp_shows_the_first_assert_and_hides_the_others() -> None:
    problems, _ = mbpp.split(511, 974)(content(MBPP_ROWS))
    assert [p.id for p in problems] == ["mbpp/600", "mbpp/601"]
    evens = problems[0]
    assert evens.task.checks == (AssertCheck(code="assert evens((1, 2, 4)) == (2, 4)"),)
    assert [c.code for c in evens.hidden] == ["assert evens(()) == ()", "assert evens((3,)) == ()"]  # type: ignore[union-attr]
    assert evens.task.entry_point == "evens"
    assert "\r" not in evens.reference.source  # type: ignore[union-attr]


def test_mbpp_keeps_the_setup_of_its_tests() -> None:
    problems, _ = mbpp.split(11, 510)(content(MBPP_ROWS))
    assert problems[0].task.checks == (AssertCheck(code="import math\nassert double(2) == 4"),)
    assert problems[0].hidden == (AssertCheck(code="import math\nassert double(0) == 0"),)


def test_mbpp_names_the_function_that_the_reference_defines_not_one_that_wraps_it() -> None:
    row = {**MBPP_ROWS[0], "test_list": ["assert set(evens((1, 2))) == {2}", "assert sorted(evens((4,))) == [4]"]}
    problems, _ = mbpp.split(511, 974)(content([row]))
    assert problems[0].task.entry_point == "evens"


def test_mbpp_excludes_by_name_a_problem_whose_asserts_call_nothing_known() -> None:
    row = {**MBPP_ROWS[0], "test_list": ["assert other(1) == 2"]}
    problems, excluded = mbpp.split(511, 974)(content([row]))
    assert not problems
    assert excluded[0].id == "mbpp/600"


def test_plus_inputs_get_the_types_that_the_asserts_show() -> None:
    problems, _ = mbpp.split(511, 974)(content(MBPP_ROWS), content(MBPP_PLUS_ROWS))
    evens, merge = problems
    assert [c.call for c in evens.plus.calls] == ["evens((8, 9))", "evens((0,))", "evens((-2, -3))"]  # type: ignore[union-attr]
    assert [c.call for c in merge.plus.calls] == ["merge({7: 1}, {8: 2})"]  # type: ignore[union-attr]
    assert len(evens.hidden) == 2, "plus inputs are no checks until the reference has answered them"


def test_plus_inputs_of_another_function_are_not_taken() -> None:
    other = {**MBPP_PLUS_ROWS[0], "entry_point": "even_ones", "assertion": "assert even_ones((1, 2)) == (2,)"}
    problems, _ = mbpp.split(600, 600)(content(MBPP_ROWS), content([other]))
    assert problems[0].plus is None
    assert problems[0].note == "its plus inputs do not fit its asserts"


def test_plus_inputs_of_another_arity_are_not_taken() -> None:
    other = {**MBPP_PLUS_ROWS[0], "plus_input": [[[1, 2], 3]]}
    problems, _ = mbpp.split(600, 600)(content(MBPP_ROWS), content([other]))
    assert problems[0].plus is None
    assert problems[0].note == "its plus inputs do not fit its asserts"


@pytest.mark.parametrize(
    ("assertion", "solution", "compare"),
    [
        ("assert f([1]) == [1]", "def f(x):\n    return x", "equal"),
        ("assert set(f([1])) == {1}", "def f(x):\n    return x", "unordered"),
        ("assert f([1]) == [1]", "def f(x):\n    return list(set(x))", "unordered"),
        ("assert f([1]) == [1]", "def f(x):\n    return sorted(set(x))", "equal"),
        ("assert f([1])", "def f(x):\n    return x", "truth"),
        ("assert not f([1])", "def f(x):\n    return x", "truth"),
        ("import math\nassert math.isclose(f([1]), 1.0, rel_tol=0.001)", "def f(x):\n    return 1.0", "close"),
    ],
)
def test_plus_values_are_compared_as_the_asserts_compare(assertion: str, solution: str, compare: str) -> None:
    row = {
        **MBPP_PLUS_ROWS[0], "entry_point": "f", "assertion": assertion, "canonical_solution": solution,
        "plus_input": [[[2]]],
    }
    problems, _ = mbpp.parse_plus(content([row]))
    assert problems[0].plus.calls[0].compare == compare  # type: ignore[union-attr]


def test_leetcode_becomes_plain_functions_with_built_in_types() -> None:
    problems, excluded = leetcode.parse(content(LEETCODE_ROWS))
    add, pairs = problems
    assert "def addUp(nums: list[int]) -> int:" in add.task.prompt
    assert "class Solution" not in add.task.prompt
    assert add.task.checks == (CallCheck(call="addUp(nums=[1, 2])", expected="3"),)
    assert [c.call for c in add.hidden] == ["addUp(nums=[])", "addUp(nums=[4, 5])"]  # type: ignore[union-attr]
    assert "def pairs(n: int, m: int | None=None) -> list[list[int]]:" in pairs.task.prompt
    assert pairs.task.checks == (), "the only test is hidden"
    assert pairs.hidden[0].compare == "unordered"  # type: ignore[union-attr]
    assert [e.id for e in excluded] == ["leetcode/tree-depth"]
    namespace: dict[str, object] = {}
    exec(add.reference.source + "\nassert addUp(nums=[4, 5]) == 9", namespace)  # type: ignore[union-attr]


def test_tasks_jsonl_takes_a_task_with_what_stands_beside_it() -> None:
    row = {
        "id": "double", "prompt": "Write double(n).", "entry_point": "double", "group": "numbers",
        "checks": [{"kind": "call", "call": "double(2)", "expected": "4"}],
        "hidden": [{"kind": "stdio", "stdin": "3", "stdout": "6"}], "reference": "def double(n):\n    return 2 * n\n",
    }
    ((found,), _) = tasks.parse(content([row]))
    assert found.task.model_dump().keys() == {"id", "prompt", "language", "entry_point", "checks", "limits"}
    assert found.hidden[0].kind == "stdio"
    assert found.group == "numbers"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "a", "prompt": "p", "promt": 1}', r"line 1: promt: Extra inputs"),
        ('{"id": "a"}', r"line 1: prompt: Field required"),
        ('{"id": "a", "prompt": "p", "checks": [{"kind": "call", "expected": "1"}]}', r"checks\.0\.call"),
        ("[1]", r"line 1: not a JSON object but a list"),
        ('{"id": ', r"line 1: not JSON"),
        ("", r"no problem in it can be used"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ConfigError, match=says):
        datasets.load(str(path))


def test_a_missing_field_of_a_published_format_is_named() -> None:
    with pytest.raises(ConfigError, match=r"line 1: field 'test' should be a str, it is missing"):
        humaneval.parse(content([{k: v for k, v in HUMANEVAL_ROWS[0].items() if k != "test"}]))


def test_an_id_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = lines([{"id": "a", "prompt": "p"}, {"id": "a", "prompt": "q"}], tmp_path / "mine.jsonl")
    with pytest.raises(ConfigError, match="'a' is there twice"):
        datasets.load(str(path))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"humaneval, .*leetcode"):
        datasets.load("humanevil")


def source(data: bytes, **changes: object) -> Source:
    fields = {
        "key": "own", "names": ("own.jsonl.gz", "own.jsonl"), "sha256": hashlib.sha256(data).hexdigest(),
        "url": "https://example.invalid/own.jsonl.gz", **changes,
    }
    return Source(**fields)  # type: ignore[arg-type]


def test_the_pin_is_on_the_content_whatever_the_compression(tmp_path: Path) -> None:
    data = b'{"a": 1}\n'
    (tmp_path / "own.jsonl.gz").write_bytes(gzip.compress(data, compresslevel=1))
    assert files.find(source(data), folders=[tmp_path], cache=tmp_path / "cache").data == data


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_bytes(b'{"a": 2}\n')
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        files.find(source(b'{"a": 1}\n'), folders=[tmp_path], cache=tmp_path / "cache")


def test_a_cut_off_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "prompt": "p"}\n' * 100)[:-12])
    with pytest.raises(ConfigError, match="not a whole gzip file"):
        datasets.load(str(path))


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1_000)
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 5_000))
    with pytest.raises(ConfigError, match="larger than 1,000 bytes"):
        datasets.load(str(path))


def test_what_cannot_be_fetched_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no route")

    monkeypatch.setattr(httpx, "stream", refuse)
    with pytest.raises(ConfigError, match=r"no route.*Put own\.jsonl\.gz or own\.jsonl into a folder.*--data"):
        files.find(source(b""), cache=tmp_path)


def test_only_a_download_that_matches_its_pin_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def download(what: str) -> bytes:
        calls.append(what)
        return b'{"id": "a", "prompt": "p"}\n'

    monkeypatch.setattr(fetch, "download", download)
    url = "https://example.invalid/t.jsonl"
    with pytest.raises(ConfigError, match="pinned"):
        datasets.load(url, cache=tmp_path, sha256="0" * 64)
    datasets.load(url, cache=tmp_path)
    assert datasets.load(url, cache=tmp_path).name == "t"
    assert calls == [url, url], "the third load reads the cache; a refused file is not kept"


@pytest.mark.parametrize(
    ("examples", "value", "restored"),
    [
        ([(1, 2)], [3, 4], (3, 4)),
        ([[(1, 2), (3, 4)]], [[5, 6]], [(5, 6)]),
        ([{1, 2}], [2, 3], {2, 3}),
        ([{1: "a"}], {"5": "b"}, {5: "b"}),
        ([{"k": (1,)}], {"z": [2, 3]}, {"z": (2, 3)}),
        (["text"], "other", "other"),
        ([[]], [[1]], [[1]]),
    ],
)
def test_shapes_restore_what_json_lost(examples: list[object], value: object, restored: object) -> None:
    found = Shape.of(examples).restore(value)
    assert found == restored
    assert type(found) is type(restored)


def test_a_place_with_two_kinds_of_sequences_is_not_guessed() -> None:
    with pytest.raises(ShapeError, match="list and tuple"):
        Shape.of([[1], (1,)])


def test_arguments_without_a_literal_are_spelled_out() -> None:
    call = literal_call("f", [[float("inf"), 1.5], float("nan")], [Shape.of([[1.0]]), Shape.of([1.0])])
    assert call == "f([float('inf'), 1.5], float('nan'))"


@pytest.mark.parametrize(
    "found",
    [
        humaneval.parse(content(HUMANEVAL_ROWS))[0],
        mbpp.split(1, 974)(content(MBPP_ROWS), content(MBPP_PLUS_ROWS))[0],
        mbpp.parse_plus(content(MBPP_PLUS_ROWS))[0],
        leetcode.parse(content(LEETCODE_ROWS))[0],
    ],
    ids=["humaneval", "mbpp", "mbpp+", "leetcode"],
)
def test_no_prompt_holds_the_text_of_a_hidden_check(found: list[object]) -> None:
    for one in found:
        sent = "\n".join(message.content for message in messages(one.task))  # type: ignore[attr-defined]
        hidden = [c.code if isinstance(c, AssertCheck) else c.call for c in one.hidden]  # type: ignore[attr-defined]
        hidden += [call.call for call in one.plus.calls] if one.plus else []  # type: ignore[attr-defined]
        assert hidden
        for text in hidden:
            assert text.strip() not in sent
