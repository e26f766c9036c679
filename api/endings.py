"""How a task ends: pure functions from what happened to what is written, so that their test is a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from api.errors import kind_of
from api.render import result_of
from api.schemas import TaskSpec
from api.store import Ending, Record, TaskStatus
from atlas.errors import SolveInterrupted
from atlas.types import Solution, Status
from sandbox.errors import InvalidCheck, SandboxError

MAX_DETAIL_CHARS = 2_000

UNREADABLE = Ending(
    status=TaskStatus.FAILED,
    outcome="interrupted",
    error_code="task-unreadable",
    error_detail="The task was kept by another version of the service, which this one cannot read.",
)

_STATUS = {
    Status.VERIFIED: TaskStatus.COMPLETED,
    Status.UNCHECKED: TaskStatus.COMPLETED,
    Status.UNSOLVED: TaskStatus.COMPLETED,
    Status.TIMED_OUT: TaskStatus.COMPLETED,
    Status.INTERRUPTED: TaskStatus.FAILED,
    Status.CANCELLED: TaskStatus.CANCELLED,
}


class Stop(Enum):
    """Why a run was stopped from outside."""

    CANCEL = auto()
    SHUTDOWN = auto()
    OVERDUE = auto()
    LEASE_LOST = auto()


def unrun(record: Record, max_runs: int) -> Ending | None:
    """How a task that was just claimed ends without being run; None where it is to be run."""
    if record.cancel_requested:
        return Ending(status=TaskStatus.CANCELLED, outcome="cancelled")
    if record.runs > max_runs:
        return Ending(
            status=TaskStatus.FAILED,
            outcome="interrupted",
            error_code="interrupted",
            error_detail=f"The service went down during this task {max_runs} times.",
        )
    return None


def after_run(
    came: Solution | BaseException | None, stop: Stop | None, spec: TaskSpec, provenance: Mapping[str, object]
) -> Ending | None:
    """How a task ends after a run; None where it does not, and is given back.

    `came` is what the solver returned or raised, and None where it was cancelled or is still not done. A solver that
    was told to stop but solved the task first has solved it.
    """
    solution = told(came, spec) if isinstance(came, SolveInterrupted) else came if isinstance(came, Solution) else None
    result = None if solution is None else result_of(solution, spec.n_visible, provenance).model_dump_json()
    if isinstance(came, Solution) and (stop is None or _STATUS[came.status] is TaskStatus.COMPLETED):
        return Ending(status=_STATUS[came.status], outcome=came.status.value, result=result)
    match stop:
        case Stop.SHUTDOWN | Stop.LEASE_LOST:
            return None
        case Stop.CANCEL:
            return Ending(status=TaskStatus.CANCELLED, outcome="cancelled", result=result)
        case Stop.OVERDUE:
            return Ending(
                status=TaskStatus.FAILED,
                outcome="interrupted",
                result=result,
                error_code="overdue",
                error_detail="The work did not end in its time, and was stopped.",
            )
        case None:
            return failed(came if isinstance(came, BaseException) else None, spec, result)


def told(interrupted: SolveInterrupted, spec: TaskSpec) -> Solution:
    """What there was when a part failed for good, with what may be told of why for its reason."""
    return replace(interrupted.solution, reason=failed(interrupted, spec).error_detail or "")


def failed(error: BaseException | None, spec: TaskSpec, result: str | None = None) -> Ending:
    """The ending of a task whose solver raised, by the table of HTTP problems.

    A check that cannot be read is the client's mistake: nothing was interrupted.
    """
    cause = (error.__cause__ or error) if isinstance(error, SolveInterrupted) else error
    kind = kind_of(cause if cause is not None else Exception())
    detail = str(cause)[:MAX_DETAIL_CHARS] if kind.shown else "Something went wrong here; the log has the details."
    if spec.hidden_checks and isinstance(cause, SandboxError):
        detail = f"{kind.title}."  # what the sandbox says may quote a check, and what is hidden is quoted nowhere
    return Ending(
        status=TaskStatus.FAILED,
        outcome=None if isinstance(cause, InvalidCheck) else "interrupted",
        result=result,
        error_code=kind.code,
        error_detail=detail,
    )
