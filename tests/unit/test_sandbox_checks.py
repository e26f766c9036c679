"""Planning steps, reading what became of them, and the command line's short form of a check."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from sandbox.checks import judge, judge_program, parse_check, plan, validate_check, verdict
from sandbox.errors import InvalidCheck
from sandbox.guest.encode import encode, sequence
from sandbox.judgement import Step
from sandbox.raw import Exit, Raw
from sandbox.replay import Replay
from sandbox.rewrite import Script
from sandbox.types import AssertCheck, CallCheck, Check, CheckResult, Outcome, Program, StdioCheck

PROGRAM = Program(source="def f(x):\n    return 2 * x")


def step(check: Check | None = None) -> Step:
    return plan(PROGRAM, [check] if check else [])[0]


def answer(*values: Any, kind: str = "end", **more: Any) -> Raw:
    entries = sequence(b"l", [encode(("value", value)) for value in values])
    rest = [encode(part) for part in more.pop("rest", ())]
    body = sequence(b"t", [encode(kind), entries, *rest])
    return Raw(exit=Exit.EXITED, exit_code=0, result=len(body).to_bytes(4, "little") + body, **more)


def raised(phase: str = "call", name: str = "KeyError", values: tuple[Any, ...] = ()) -> Raw:
    return answer(*values, kind="raised", rest=(phase, ((name, "Exception"), "text", "line 1, in f")))


F = CallCheck(call="f(2)", expected="4")
STDIO = StdioCheck(stdin="2\n", stdout="4\n")
SCRIPT = AssertCheck(code="assert f(2) == 4\nassert f(3) == 6")


def test_steps_carry_inputs_and_nothing_else() -> None:
    checks: list[Check] = [
        CallCheck(call="f('input')", expected="'canary'", setup="x = 1"), CallCheck(call="f(1)", expected="Canary",
        compare="raises"),
        StdioCheck(stdin="input", stdout="canary"), AssertCheck(code="want = 'canary'\nassert f('input') == want"),
    ]  # fmt: skip
    for made, check in zip(plan(PROGRAM, checks), checks, strict=True):
        sent = json.dumps([made.source, made.kind, made.payload])
        assert "canary" not in sent.lower()
        assert "input" in sent or "f(1)" in sent
        assert "canary" in check.model_dump_json().lower()


@pytest.mark.parametrize("tolerance", ["abs_tol", "rel_tol"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "NaN"])
def test_a_tolerance_without_an_end_is_refused(tolerance: str, value: object) -> None:
    body = {"kind": "call", "call": "f(2)", "expected": "4", "compare": "close", tolerance: value}
    with pytest.raises(ValidationError, match=f"{tolerance}\n  Input should be a finite number"):
        CallCheck.model_validate(body)


def test_plan_follows_the_checks() -> None:
    made = plan(PROGRAM, [F, STDIO, SCRIPT])
    assert [one.kind for one in made] == ["call", "stdio", "call"]
    assert [one.check_index for one in made] == [0, 1, 2]
    assert [one.integrity for one in made] == ["strong"] * 3
    assert [one.kind for one in plan(PROGRAM, [])] == ["load"]


def test_scripts_that_cannot_be_taken_apart() -> None:
    apart = step(AssertCheck(code="def ok(x):\n    return f(x) == 2 * x\nassert ok(2)"))
    assert isinstance(apart.expects, Replay)
    assert apart.integrity == "strong"
    assert apart.instead is not None
    assert (apart.instead.kind, apart.instead.integrity) == ("script", "weak")
    beside = step(AssertCheck(code="import random\nn = [random.random()]\nassert f(n) is not n"))
    assert (beside.kind, beside.integrity) == ("script", "weak")
    helped = step(AssertCheck(code="def check(c):\n    assert poly(c(1)) == 0\ncheck(f)"))
    assert isinstance(helped.expects, Script)
    assert helped.integrity == "weak"


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (answer(4), Outcome.PASS), (answer(5), Outcome.FAIL), (answer(), Outcome.TAMPERED),
        (answer(4, 4), Outcome.TAMPERED),
        (Raw(exit=Exit.EXITED, exit_code=0), Outcome.NO_VERDICT),
        (Raw(exit=Exit.EXITED, exit_code=70), Outcome.NO_VERDICT),
        (Raw(exit=Exit.EXITED, result=b"x"), Outcome.TAMPERED),
        (answer(4, tampered="it wrote to pid 1"), Outcome.TAMPERED),
        (Raw(exit=Exit.SIGNALLED, signal=11), Outcome.CRASH), (Raw(exit=Exit.TIMEOUT), Outcome.TIMEOUT),
        (Raw(exit=Exit.CPU), Outcome.CPU_LIMIT), (Raw(exit=Exit.OOM), Outcome.OOM),
        (Raw(exit=Exit.OUTPUT_LIMIT), Outcome.OUTPUT_LIMIT), (Raw(exit=Exit.NOT_STARTED), Outcome.SANDBOX_ERROR),
        (raised(), Outcome.ERROR), (raised("load"), Outcome.ERROR), (raised("setup"), Outcome.ERROR),
        (raised(name="AssertionError"), Outcome.ERROR), (answer(kind="exit", rest=("call", 0)), Outcome.NO_VERDICT),
    ],
)  # fmt: skip
def test_what_became_of_a_call(raw: Raw, outcome: Outcome) -> None:
    assert judge(step(F), raw).outcome is outcome


def test_a_frame_of_a_process_that_was_stopped_counts_for_nothing() -> None:
    for exit in (Exit.TIMEOUT, Exit.OOM, Exit.CPU, Exit.OUTPUT_LIMIT, Exit.SIGNALLED, Exit.NOT_STARTED):
        result = answer(4).result
        assert judge(step(F), Raw(exit=exit, result=result, signal=9)).outcome is not Outcome.PASS


@pytest.mark.parametrize(
    ("values", "outcome", "actual"),
    [((4, 6), Outcome.PASS, None), ((4, 7), Outcome.FAIL, "7"), ((5,), Outcome.TAMPERED, None),
    ((4, 6, 8), Outcome.TAMPERED, None)],
)
def test_what_became_of_a_script(values: tuple[Any, ...], outcome: Outcome, actual: str | None) -> None:
    result = judge(step(SCRIPT), answer(*values))
    assert result.outcome is outcome
    assert result.actual == actual


def test_a_wrong_answer_before_an_exception_is_a_wrong_answer() -> None:
    assert judge(step(SCRIPT), raised(values=(5,))).outcome is Outcome.FAIL
    assert judge(step(SCRIPT), raised(values=(4,))).outcome is Outcome.ERROR
    assert judge(step(SCRIPT), raised(values=())).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (Raw(exit=Exit.EXITED, exit_code=0, stdout=b"4"), Outcome.PASS), (answer(stdout=b"4  \r\n\n"), Outcome.PASS),
        (answer(stdout=b" 4"), Outcome.FAIL), (answer(stdout=b"4\n4"), Outcome.FAIL),
        (answer(stdout=b""), Outcome.FAIL),
        (Raw(exit=Exit.EXITED, exit_code=1, stdout=b"4"), Outcome.ERROR),
        (answer(kind="exit", rest=("load", 0), stdout=b"4"), Outcome.PASS),
        (answer(kind="exit", rest=("load", 2), stdout=b"4"), Outcome.ERROR), (raised("load"), Outcome.ERROR),
        (answer(stdout=b"4", truncated=True), Outcome.OUTPUT_LIMIT),
        (Raw(exit=Exit.TIMEOUT, stdout=b"4"), Outcome.TIMEOUT),
        (Raw(exit=Exit.EXITED, exit_code=0, stdout=b"4", result=b"junk"), Outcome.TAMPERED),
    ],
)  # fmt: skip
def test_what_became_of_standard_output(raw: Raw, outcome: Outcome) -> None:
    assert judge(step(STDIO), raw).outcome is outcome


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (b"yes\n0.50 3\n", True), (b"\n  yes\n 0.5  3.0", True), (b"yes\n0.51 3", False), (b"yes\n0.5", False),
        (b"Yes\n0.5 3", False), (b"yes\n\n0.5 3", False), (b"yes\n0.5 3 x", False), (b"yes\nnan 3", False),
        (b"yes\n\xff", False), (b"yes\nsnan 3", False),
        (b"yes\n0.5_0 3", False), ("yes\n0.5 \u0663".encode(), False), (b"yes\n+5e-1\t3.", True),
    ],
)
def test_lines_of_numbers_are_compared_as_decimals_where_that_is_asked_for(found: bytes, same: bool) -> None:
    check = StdioCheck(stdout="yes\n0.5 3", compare="decimals")
    assert (judge(step(check), answer(stdout=found)).outcome is Outcome.PASS) is same
    if found.startswith(b"yes\n0.50"):
        assert judge(step(StdioCheck(stdout=check.stdout)), answer(stdout=found)).outcome is Outcome.FAIL


def test_the_line_that_differs_is_named() -> None:
    check = StdioCheck(stdout="a\nb\nc")
    assert "line 2" in judge(step(check), answer(stdout=b"a\nx\nc")).message
    assert "line 3" in judge(step(check), answer(stdout=b"a\nb")).message


def test_texts_in_results_are_bounded_and_can_be_recorded() -> None:
    noise = b"\xff\x00" * 500_000
    result = judge(step(F), answer("\ud800" * 10_000, stdout=noise, stderr=noise))
    assert result.outcome is Outcome.FAIL
    assert len(result.model_dump_json()) < 200_000
    assert "\\xff" in result.stdout
    result = judge(step(F), answer(kind="raised", rest=("call", (("E\ud800",), "\ud800", "x"))))
    assert CheckResult.model_validate_json(result.model_dump_json()) == result


def test_verdict_sums_up() -> None:
    passed = judge(step(F), answer(4, wall_s=1.0, cpu_s=0.5, peak_memory_mb=7.0))
    failed = judge(step(F), answer(5, wall_s=1.0, cpu_s=0.5, peak_memory_mb=9.0))
    whole = verdict([passed, failed, passed], "wasm")
    assert whole.outcome is Outcome.FAIL
    assert (whole.wall_s, whole.cpu_s, whole.peak_memory_mb, whole.integrity) == (3.0, 1.5, 9.0, "strong")
    assert verdict([passed], "wasm").passed
    assert verdict([passed, passed.model_copy(update={"integrity": "weak"})], "wasm").integrity == "weak"
    assert verdict([], "wasm").outcome is Outcome.SANDBOX_ERROR


def test_judging_stops_at_the_first_that_does_not_pass() -> None:
    asked: list[Step] = []

    async def execute(one: Step) -> Raw:
        asked.append(one)
        return answer(5)

    async def main() -> None:
        whole = await judge_program(PROGRAM, [F, F, F], execute, "wasm")
        assert whole.outcome is Outcome.FAIL
        assert len(whole.checks) == len(asked) == 1

    anyio.run(main)


@pytest.mark.parametrize(
    "text",
    [
        "f(2) == 4",
        " f(2) == 4\n",
        "assert f(2) == 4",
        "f(2) is None and f(3)[0] > 1",
        "not f(2)",
        "abs(f(2) - 4) < 1e-6",
    ],
)
def test_parse_check(text: str) -> None:
    check = parse_check(text)
    assert isinstance(check, AssertCheck)
    assert step(check).integrity == "strong"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f(2) = 4", "line 1"), ("f(2", "line 1, column 2"), ("", "does not parse"), ("f(2)", "must compare"),
        ("4", "must compare"),
        ("assert True", "never checks"), ("1 == 1", "never checks"), ("assert (f(2), 4)", "always true"),
        ("x = f(2)", "does not parse"),
        ("import os", "does not parse"),
    ],
)  # fmt: skip
def test_parse_check_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidCheck, match=message):
        parse_check(text)


@pytest.mark.parametrize(
    "check",
    [
        CallCheck(call="f(", expected="4"), CallCheck(call="f(2); g()", expected="4"), CallCheck(call="4",
        expected="4"),
        CallCheck(call="f(2)", expected="f(3)"), CallCheck(call="f(2)", expected="4", setup="x ="),
        CallCheck(call="f(2)", expected="4", compare="is"), CallCheck(call="f(2)", expected="3", compare="raises"),
        AssertCheck(code="x = 1"), AssertCheck(code="assert 1 == 1"),
        CallCheck(call="f(2) == 4", expected="True"), CallCheck(call="not f(2)", compare="truthy"),
        CallCheck(call="isinstance(f(2), int)", expected="True"), CallCheck(call="f(1) or f(2)", compare="truthy"),
        AssertCheck(code="import pytest\n@pytest.mark.skip\ndef test_f():\n    assert f(2) == 4\nassert f(3) == 6"),
        AssertCheck(code="async def test_f():\n    assert await f(2) == 4\nassert f(3) == 6"),
        AssertCheck(code="def test_f(x):\n    assert f(x) == 4\nassert f(3) == 6"),
    ],
)  # fmt: skip
def test_checks_that_check_nothing_are_refused(check: Check) -> None:
    with pytest.raises(InvalidCheck):
        validate_check(check)
    with pytest.raises(InvalidCheck, match="check 2: "):
        plan(PROGRAM, [F, check])


@pytest.mark.parametrize("call", ["f(2)", "all([1, 0])", "isinstance(1, int)", "sorted(f(2))", "A().b()", "-f(2)"])
def test_calls_for_values_are_not_refused(call: str) -> None:
    validate_check(CallCheck(call=call, expected="4"))


def test_what_a_runner_would_call_is_called_beside_the_program_too() -> None:
    code = "import unittest\nclass TestA:\n    def test_a(self):\n        x = [1]\n        assert f(x) is x\n"
    case = "class B(unittest.TestCase):\n    def test_b(self):\n        self.assertIs(f(self), self)\n"
    made = step(AssertCheck(code=code + case))
    assert (made.kind, made.integrity) == ("script", "weak")
    assert "__test__.test_a()" in made.payload["code"] and "unittest').main(" in made.payload["code"]


def test_other_languages_are_checked_by_what_they_print() -> None:
    program = Program(source="console.log(4)", language="javascript")
    assert plan(program, [STDIO])[0].kind == "stdio"
    with pytest.raises(InvalidCheck, match="standard input and output"):
        plan(program, [F])
