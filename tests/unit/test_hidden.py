"""Hidden checks are run, and nothing of them is told."""

from __future__ import annotations

import pytest

from atlas.hidden import HiddenChecks, redact
from atlas.types import AssertCheck, CallCheck, Limits, Program
from sandbox.errors import InvalidCheck
from sandbox.types import CheckResult, Outcome
from tests.support.domain import ScriptSandbox, verdict

pytestmark = pytest.mark.anyio

SECRET = "hidden_secret_31337"
VISIBLE = CallCheck(call="f(1)", expected="2")
HIDDEN = (CallCheck(call=f"f('{SECRET}')", expected=f"'{SECRET}'"),)
TEXTS = ("shown", "expected", "actual", "message", "stdout", "stderr")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def result(index: int, outcome: Outcome, text: str) -> CheckResult:
    return CheckResult(index=index, outcome=outcome, wall_s=0.5, cpu_s=0.25, **dict.fromkeys(TEXTS, text))


async def test_hidden_checks_are_run_after_the_visible_ones_and_redacted() -> None:
    found = verdict("FAIL", result(0, Outcome.PASS, "seen"), result(1, Outcome.FAIL, SECRET), message=SECRET)
    sandbox = ScriptSandbox(answer=found)
    told = await HiddenChecks(sandbox=sandbox, checks=HIDDEN).run(Program(source="x"), [VISIBLE], Limits())
    assert sandbox.checks == [(VISIBLE, *HIDDEN)]
    assert SECRET not in told.model_dump_json()
    seen, hidden = told.checks
    assert seen.shown == "seen" and not seen.hidden
    assert hidden.hidden and (hidden.index, hidden.outcome, hidden.wall_s) == (1, Outcome.FAIL, 0.5)
    assert told.outcome is Outcome.FAIL


async def test_what_is_said_of_a_visible_check_stays() -> None:
    found = verdict("FAIL", result(0, Outcome.FAIL, "seen"), message="expected 2")
    told = await HiddenChecks(sandbox=ScriptSandbox(answer=found), checks=HIDDEN).run(
        Program(source="x"), [VISIBLE], Limits()
    )
    assert told.message == "expected 2" and told.checks == found.checks


async def test_the_order_of_results_does_not_matter_for_what_is_told() -> None:
    found = verdict("FAIL", result(1, Outcome.FAIL, SECRET), result(0, Outcome.PASS, "seen"), message=SECRET)
    told = await HiddenChecks(sandbox=ScriptSandbox(answer=found), checks=HIDDEN).run(
        Program(source="x"), [VISIBLE], Limits()
    )
    assert SECRET not in told.model_dump_json()


async def test_a_hidden_check_that_cannot_be_read_is_not_quoted() -> None:
    sandbox = ScriptSandbox(answer=InvalidCheck(f"check 2: {SECRET} is no expression"))
    with pytest.raises(InvalidCheck) as refused:
        await HiddenChecks(sandbox=sandbox, checks=HIDDEN).run(Program(source="x"), [VISIBLE], Limits())
    assert SECRET not in str(refused.value) and "hidden check" in str(refused.value)


async def test_a_visible_check_that_cannot_be_read_is_quoted() -> None:
    sandbox = ScriptSandbox(answer=InvalidCheck("check 1"))
    bad = AssertCheck(code="assert f(2) == (")
    with pytest.raises(InvalidCheck, match="line 1"):
        await HiddenChecks(sandbox=sandbox, checks=HIDDEN).run(Program(source="x"), [bad], Limits())


def test_redaction_keeps_no_text_at_all() -> None:
    kept = redact(result(3, Outcome.ERROR, SECRET)).model_dump()
    assert all(not kept[name] for name in TEXTS) and kept["hidden"]
