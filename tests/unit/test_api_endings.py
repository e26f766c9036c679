"""How tasks end: tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from api.endings import Stop, after_run, failed, unrun
from api.schemas import TaskSpec
from api.store import Record, TaskStatus
from atlas.errors import ModelReplyError, ModelUnavailable, SolveInterrupted
from atlas.types import AssertCheck, Attempt, Budget, Program, Solution, Status
from sandbox.errors import InvalidCheck, SandboxUnavailable

SPEC = TaskSpec(prompt="p", checks=(), hidden_checks=(), budget=Budget())
SECRETIVE = SPEC.model_copy(update={"hidden_checks": (AssertCheck(code="assert f() == 1"),)})

RECORD = Record(
    id="t", status=TaskStatus.IN_PROGRESS, outcome=None, created_at=0, started_at=0, finished_at=None, runs=1,
    cancel_requested=False, prompt_start="", language="python", labels={}, error_code=None, error_detail=None,
    last_seq=0, request="{}", result=None,
)


@pytest.mark.parametrize(
    ("runs", "cancel", "outcome"),
    [(1, False, None), (3, False, None), (4, False, "interrupted"), (1, True, "cancelled"), (4, True, "cancelled")],
)
def test_whether_a_claimed_task_is_run(runs: int, cancel: bool, outcome: str | None) -> None:
    ending = unrun(replace(RECORD, runs=runs, cancel_requested=cancel), max_runs=3)
    assert (ending.outcome if ending else None) == outcome


def solution(status: Status) -> Solution:
    return Solution(task_id="t", status=status, program=Program(source="x = 1"), attempts=(Attempt(round=0),))


INTERRUPTED = SolveInterrupted("gone", solution(Status.INTERRUPTED))


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (Status.VERIFIED, TaskStatus.COMPLETED), (Status.UNCHECKED, TaskStatus.COMPLETED),
        (Status.UNSOLVED, TaskStatus.COMPLETED), (Status.TIMED_OUT, TaskStatus.COMPLETED),
        (Status.INTERRUPTED, TaskStatus.FAILED), (Status.CANCELLED, TaskStatus.CANCELLED),
    ],
)
def test_a_solution_decides_where_nobody_interfered(status: Status, kept: TaskStatus) -> None:
    ending = after_run(solution(status), None, SPEC, {"model": "m"})
    assert ending is not None and ending.result is not None
    assert (ending.status, ending.outcome, ending.error_code) == (kept, status.value, None)
    assert json.loads(ending.result)["provenance"] == {"model": "m"}


@pytest.mark.parametrize("stop", list(Stop))
@pytest.mark.parametrize("status", [Status.VERIFIED, Status.UNSOLVED, Status.TIMED_OUT])
def test_work_that_was_done_before_the_stop_counts(stop: Stop, status: Status) -> None:
    ending = after_run(solution(status), stop, SPEC, {})
    assert ending is not None and (ending.status, ending.outcome) == (TaskStatus.COMPLETED, status.value)


CUT_SHORT = [None, INTERRUPTED, solution(Status.CANCELLED), solution(Status.INTERRUPTED), RuntimeError("torn")]


@pytest.mark.parametrize("came", CUT_SHORT, ids=str)
@pytest.mark.parametrize(
    ("stop", "outcome"),
    [(Stop.CANCEL, "cancelled"), (Stop.OVERDUE, "interrupted"), (Stop.SHUTDOWN, None), (Stop.LEASE_LOST, None)],
)
def test_work_that_was_cut_short_ends_as_the_stop_says(
    came: Solution | BaseException | None, stop: Stop, outcome: str | None
) -> None:
    ending = after_run(came, stop, SPEC, {})
    assert (ending.outcome if ending else None) == outcome
    if ending is not None:  # what was paid for is kept
        assert (ending.result is not None) == isinstance(came, Solution | SolveInterrupted)


@pytest.mark.parametrize(
    ("error", "code", "outcome", "detail"),
    [
        (None, "internal-error", "interrupted", "Something went wrong"),
        (RuntimeError("inside"), "internal-error", "interrupted", "Something went wrong"),
        (ModelUnavailable("refused"), "model-unavailable", "interrupted", "refused"),
        (SandboxUnavailable("no engine"), "sandbox-unavailable", "interrupted", "no engine"),
        (InvalidCheck("check 1: odd"), "invalid-check", None, "check 1: odd"),
        (ModelReplyError("x" * 9_000), "model-reply", "interrupted", "x" * 2_000),
    ],
)
def test_a_failure_is_told_by_the_table(
    error: Exception | None, code: str, outcome: str | None, detail: str
) -> None:
    plain = failed(error, SPEC)
    assert (plain.status, plain.error_code, plain.outcome) == (TaskStatus.FAILED, code, outcome)
    assert plain.error_detail is not None and plain.error_detail.startswith(detail) and len(plain.error_detail) <= 2_000
    wrapped = SolveInterrupted("while solving", solution(Status.INTERRUPTED))
    wrapped.__cause__ = error
    if error is not None:
        assert failed(wrapped, SPEC) == plain


def test_what_the_sandbox_says_is_not_repeated_where_checks_are_hidden() -> None:
    assert failed(InvalidCheck("assert f() == 1 is odd"), SECRETIVE).error_detail == "A check cannot be read."
    assert failed(ModelUnavailable("refused"), SECRETIVE).error_detail == "refused"


def test_an_interrupted_result_tells_why_and_quotes_nothing_hidden() -> None:
    wrapped = SolveInterrupted("f(31337) broke it", replace(solution(Status.INTERRUPTED), reason="f(31337) broke it"))
    wrapped.__cause__ = SandboxUnavailable("f(31337) broke it")
    for spec, reason in ((SPEC, "f(31337) broke it"), (SECRETIVE, failed(wrapped, SECRETIVE).error_detail)):
        ending = after_run(wrapped, None, spec, {})
        assert ending is not None and ending.result is not None
        assert json.loads(ending.result)["reason"] == reason == ending.error_detail
    assert "31337" not in str(reason)
