"""Reading checks: what plain text means, and what is refused."""

from __future__ import annotations

import pytest
from fastapi.exceptions import RequestValidationError

from api.checks import read
from api.schemas import TaskRequest, TaskSpec
from atlas.types import AssertCheck, CallCheck, Limits, StdioCheck, Task


def read_one(check: object, language: str = "python") -> object:
    request = TaskRequest.model_validate({"prompt": "x", "language": language, "checks": [check]})
    return read(request).checks[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("f(2) == 4", "assert f(2) == 4"),
        ("  f(2) == 4  # two squared\n", "assert f(2) == 4  # two squared"),
        ("assert f(2) == 4", "assert f(2) == 4"),
        ("assert f(2) == 4, 'two'", "assert f(2) == 4, 'two'"),
        ("for i in range(3):\n    assert f(i) == i * i", "for i in range(3):\n    assert f(i) == i * i"),
        ("(x := f(2)) and x == 4", "assert (x := f(2)) and x == 4"),
        (r"re.match('\d', f())", r"assert re.match('\d', f())"),
    ],
)
def test_text_becomes_an_assert_check(text: str, code: str) -> None:
    assert read_one(text) == AssertCheck(code=code)


@pytest.mark.parametrize("text", ["f(2) =", "1 + 1 == 2", "True", "'f(2) == 4'", "é €", "\x00", "f(" + "(" * 5_000])
def test_text_that_checks_nothing_or_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        read_one(text)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "checks", 0)]


@pytest.mark.parametrize("call", ["2", "f", "f(2); g(3)", "f(2) == 4", "x = f(2)", "", "f(2", "lambda: f(2)"])
def test_a_call_check_holds_one_call(call: str) -> None:
    with pytest.raises(RequestValidationError):
        read_one({"kind": "call", "call": call, "expected": "4"})


def test_an_expected_value_must_be_an_expression() -> None:
    assert read_one({"kind": "call", "call": "f(2)", "expected": "{1: 'a'}"}) == CallCheck(
        call="f(2)", expected="{1: 'a'}"
    )
    with pytest.raises(RequestValidationError):
        read_one({"kind": "call", "call": "f(2)", "expected": "{1:"})


def test_an_assert_script_of_another_language_is_not_read_as_python() -> None:
    script = {"kind": "assert", "code": "console.assert(f(2) === 4)"}
    assert read_one(script, language="javascript") == AssertCheck(code=script["code"])
    with pytest.raises(RequestValidationError):
        read_one(script)


def test_every_bad_check_is_named() -> None:
    request = TaskRequest(prompt="x", checks=("f(", "f", "g("), hidden_checks=("h(",))
    with pytest.raises(RequestValidationError) as refused:
        read(request)
    places = [error["loc"][1:] for error in refused.value.errors()]
    assert places == [("checks", 0), ("checks", 2), ("hidden_checks", 0)]


def test_a_kept_task_reads_back_the_same_and_makes_a_task_without_hidden_checks() -> None:
    request = TaskRequest(
        prompt="p", entry_point="f", checks=("f(1)", StdioCheck(stdin="1", stdout="2")), hidden_checks=("f(9) == 81",),
        limits=Limits(wall_s=1), seed=3, labels={"a": "b"},
    )
    spec = read(request)
    assert TaskSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.task("task_1") == Task(
        id="task_1", prompt="p", entry_point="f", limits=Limits(wall_s=1),
        checks=(AssertCheck(code="assert f(1)"), StdioCheck(stdin="1", stdout="2")),
    )
    assert "81" not in spec.task("task_1").model_dump_json()


def test_the_largest_task_that_is_accepted_is_a_task() -> None:
    request = TaskRequest(prompt="x" * 100_000, entry_point="f" * 200, checks=("f",) * 1_000)
    assert len(read(request).task("t").checks) == 1_000
