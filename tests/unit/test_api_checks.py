"""Reading checks: what plain text means, and what is refused."""

from __future__ import annotations

import pytest
from fastapi.exceptions import RequestValidationError

from api.checks import read
from api.schemas import TaskRequest, TaskSpec
from atlas.types import AssertCheck, Budget, CallCheck, Limits, StdioCheck, Task


def read_one(check: object, language: str = "python") -> object:
    request = TaskRequest.model_validate({"prompt": "x", "language": language, "checks": [check]})
    return read(request, Budget())[0].checks[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("f(2) == 4", "assert f(2) == 4"),
        ("  not f(2)\n", "assert not f(2)"),
        ("assert f(2) == 4, 'two'", "assert f(2) == 4, 'two'"),
        ("for i in range(3):\n    assert f(i) == i * i", "for i in range(3):\n    assert f(i) == i * i"),
    ],
)
def test_text_becomes_an_assert_check(text: str, code: str) -> None:
    assert read_one(text) == AssertCheck(code=code)


@pytest.mark.parametrize(
    "text",
    ["f(2) =", "1 + 1 == 2", "True", "'f(2) == 4'", "é €", "\x00", "f(" + "(" * 5_000, "assert True", "-" * 9_000],
)
def test_text_that_checks_nothing_or_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        read_one(text)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "checks", 0)]


@pytest.mark.parametrize("call", ["2", "f(2); g(3)", "x = f(2)", "", "f(2"])
def test_a_call_check_calls_something(call: str) -> None:
    with pytest.raises(RequestValidationError):
        read_one({"kind": "call", "call": call, "expected": "4"})


def test_an_expected_value_must_be_readable() -> None:
    assert read_one({"kind": "call", "call": "f(2)", "expected": "{1: 'a'}"}) == CallCheck(
        call="f(2)", expected="{1: 'a'}"
    )
    with pytest.raises(RequestValidationError):
        read_one({"kind": "call", "call": "f(2)", "expected": "{1:"})


@pytest.mark.parametrize("check", ["f(2) == 4", {"kind": "call", "call": "f(2)"}, {"kind": "assert", "code": "f()"}])
def test_other_languages_are_checked_by_input_and_output_only(check: object) -> None:
    with pytest.raises(RequestValidationError):
        read_one(check, language="javascript")
    stdio = {"kind": "stdio", "stdin": "2", "stdout": "4"}
    assert read_one(stdio, language="javascript") == StdioCheck(stdin="2", stdout="4")


def test_every_bad_check_is_named() -> None:
    request = TaskRequest(prompt="x", checks=("f(", "f() == 1", "g("), hidden_checks=("h(",))
    with pytest.raises(RequestValidationError) as refused:
        read(request, Budget())
    places = [error["loc"][1:] for error in refused.value.errors()]
    assert places == [("checks", 0), ("checks", 2), ("hidden_checks", 0)]


def test_a_kept_task_reads_back_the_same_and_makes_a_task_without_hidden_checks() -> None:
    request = TaskRequest(
        prompt="p", entry_point="f", limits=Limits(wall_s=1), seed=3, labels={"a": "b"},
        checks=("f(1) == 1", StdioCheck(stdin="1", stdout="2")), hidden_checks=("f(9) == 81",),
    )
    spec, kept = read(request, Budget())
    assert TaskSpec.model_validate_json(kept) == spec
    assert spec.task("task_1") == Task(
        id="task_1", prompt="p", entry_point="f", limits=Limits(wall_s=1),
        checks=(AssertCheck(code="assert f(1) == 1"), StdioCheck(stdin="1", stdout="2")),
    )
    assert "81" not in spec.task("task_1").model_dump_json()


def test_the_largest_task_that_is_accepted_is_a_task() -> None:
    request = TaskRequest(prompt="x" * 100_000, entry_point="f" * 200, checks=("f() == 1",) * 1_000)
    assert len(read(request, Budget())[0].task("t").checks) == 1_000
