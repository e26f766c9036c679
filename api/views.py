"""What clients get: tasks, candidates, verdicts, events. Nothing here can hold the content of a hidden check."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from api.store import TaskOutcome, TaskStatus
from atlas.types import Budget, Check, Language, Limits


class View(BaseModel):
    """Base of what is answered. NaN and infinity are errors: JSON has none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CheckView(View):
    """What became of one check. Of a hidden check only its index and outcome are told.

    Texts come from the program and are bounded; show them escaped.
    """

    index: int
    outcome: str
    hidden: bool = False
    integrity: str | None = None
    shown: str | None = None
    expected: str | None = None
    actual: str | None = None
    message: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    truncated: bool = False
    wall_s: float | None = None
    cpu_s: float | None = None


class VerdictView(View):
    """What the sandbox found, and what kept the program in while it looked."""

    outcome: str
    passed: bool
    isolation: str
    integrity: str
    message: str
    checks: list[CheckView]
    wall_s: float
    cpu_s: float
    peak_memory_mb: float | None


class UsageView(View):
    """What was paid for. Completion tokens count every candidate."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    sandbox_runs: int = 0


class CandidateView(View):
    """One program that the model proposed. `rank` 1 is the cheapest of its round; None where it was not ranked.

    `copies` of its round's completions held this very program. Log-probabilities are natural, per token.
    """

    id: str
    round: int
    index: int
    rank: int | None
    picked: bool
    cost: float | None
    p_pass: float | None
    problem: str
    mean_logprob: float | None
    tokens: int | None
    finish_reason: str
    temperature: float | None
    seed: int | None
    copies: int
    sha256: str
    language: str
    program: str
    truncated: bool


class AttemptView(View):
    """One round: its candidates in order of rank, and the verdict on the cheapest."""

    round: int
    candidates: list[CandidateView]
    verdict: VerdictView | None
    usage: UsageView
    seconds: dict[str, float]


class ResultView(View):
    """What a task ended with, and the `reason` in a sentence. This is also how a result is kept."""

    reason: str = ""
    program: str | None = None
    verdict: VerdictView | None = None
    attempts: list[AttemptView] = []
    usage: UsageView = UsageView()
    provenance: dict[str, Any] = {}


class TimingsView(View):
    """When things happened (RFC 3339), and how long the task waited and was worked on, in seconds."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    queued_s: float | None
    running_s: float | None


class ErrorView(View):
    """Why a task failed: a code from the same table as HTTP problems, and a sentence."""

    code: str
    detail: str


class TaskSummary(View):
    """A task in a list, without its large parts. `prompt_start` is the first 200 characters of its prompt."""

    id: str
    object: Literal["task.summary"] = "task.summary"
    status: TaskStatus
    outcome: TaskOutcome | None
    cancel_requested: bool
    runs: int
    language: str
    labels: dict[str, str]
    prompt_start: str
    timings: TimingsView
    error: ErrorView | None


class TaskView(View):
    """A task with all that may be known of it. Hidden checks are a number here.

    A task that ran out of budget unsolved is `completed` with outcome `unsolved`; `failed` means that we failed.
    `reason` says in a sentence why it ended so; where there is an `error`, it is that of the error.
    """

    id: str
    object: Literal["task"] = "task"
    status: TaskStatus
    outcome: TaskOutcome | None
    reason: str
    cancel_requested: bool
    runs: int
    program: str | None
    verdict: VerdictView | None
    attempts: list[AttemptView]
    usage: UsageView
    timings: TimingsView
    error: ErrorView | None
    provenance: dict[str, Any]
    prompt: str
    language: Language
    entry_point: str | None
    checks: list[Check]
    hidden_checks: int
    budget: Budget
    limits: Limits
    seed: int
    labels: dict[str, str]


class EventView(View):
    """One event of a task. `seq` counts from 1 without gaps; the terminal event's data hold the task."""

    seq: int
    task_id: str
    name: str
    at: datetime
    data: dict[str, Any]


T = TypeVar("T")


class Page(View, Generic[T]):
    """One page of a list, in the manner of OpenAI's lists."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool
