"""From the domain to what is answered: pure functions. The only place that decides what of a verdict is told."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from api.schemas import TaskSpec
from api.store import Record, StoredEvent, Summary
from api.views import (
    AttemptView,
    CandidateView,
    CheckView,
    ErrorView,
    EventView,
    ResultView,
    TaskSummary,
    TaskView,
    TimingsView,
    UsageView,
    VerdictView,
)
from atlas.types import Attempt, Candidate, Ranked, Solution, Verdict
from sandbox.types import CheckResult, Outcome

MAX_TEXT_CHARS = 4_000
MAX_PROGRAM_CHARS = 200_000
PROMPT_START_CHARS = 200


def result_of(solution: Solution, n_visible: int, provenance: Mapping[str, object]) -> ResultView:
    """All that is told of how a task ended. Checks from index `n_visible` on are hidden, marked so or not.

    The reason is told as it stands: that of an interrupted task comes from `api.endings.told`.
    """
    judged = next((a for a in reversed(solution.attempts) if a.pick and a.pick.program == solution.program), None)
    return ResultView(
        reason=solution.reason[:MAX_TEXT_CHARS],
        program=solution.program.source if solution.program else None,
        verdict=_verdict(judged.verdict, n_visible) if judged and judged.verdict else None,
        attempts=[_attempt(attempt, n_visible) for attempt in solution.attempts],
        usage=UsageView(
            prompt_tokens=solution.usage.prompt_tokens,
            completion_tokens=solution.usage.completion_tokens,
            sandbox_runs=solution.sandbox_runs,
        ),
        provenance=dict(provenance),
    )


def task_view(record: Record) -> TaskView:
    """A kept task, as it is answered."""
    spec = TaskSpec.model_validate_json(record.request)
    result = ResultView.model_validate_json(record.result) if record.result else ResultView()
    error = _error(record)
    return TaskView(
        id=record.id, status=record.status, outcome=record.outcome, reason=error.detail if error else result.reason,
        cancel_requested=record.cancel_requested, runs=record.runs, program=result.program, verdict=result.verdict,
        attempts=result.attempts, usage=result.usage, timings=_timings(record), error=error,
        provenance=result.provenance,
        prompt=spec.prompt, language=spec.language, entry_point=spec.entry_point, checks=list(spec.checks),
        hidden_checks=len(spec.hidden_checks), budget=spec.budget, limits=spec.limits, seed=spec.seed,
        labels=spec.labels,
    )


def task_summary(summary: Summary) -> TaskSummary:
    return TaskSummary(
        id=summary.id, status=summary.status, outcome=summary.outcome, cancel_requested=summary.cancel_requested,
        runs=summary.runs, language=summary.language, labels=dict(summary.labels), prompt_start=summary.prompt_start,
        timings=_timings(summary), error=_error(summary),
    )


def event_view(task_id: str, event: StoredEvent, task: TaskView | None = None) -> EventView:
    """A kept event; `task` goes into the data of a terminal one."""
    data = json.loads(event.data)
    if task is not None:
        data["task"] = task.model_dump(mode="json")
    return EventView(seq=event.seq, task_id=task_id, name=event.name, at=_time(event.at), data=data)


def _attempt(attempt: Attempt, n_visible: int) -> AttemptView:
    ranks = {id(ranked.candidate): (rank, ranked) for rank, ranked in enumerate(attempt.ranked, start=1)}
    shown = list(attempt.candidates)
    if attempt.pick is not None and not any(c is attempt.pick for c in shown):
        shown.append(attempt.pick)  # an earlier attempt's second choice, run now
    views = [_candidate(c, *ranks.get(id(c), (None, None)), picked=c is attempt.pick) for c in shown]
    return AttemptView(
        round=attempt.round,
        candidates=sorted(views, key=lambda view: view.rank or len(views) + 1),
        verdict=_verdict(attempt.verdict, n_visible) if attempt.verdict else None,
        usage=UsageView(
            prompt_tokens=attempt.usage.prompt_tokens,
            completion_tokens=attempt.usage.completion_tokens,
            sandbox_runs=int(attempt.verdict is not None),
        ),
        seconds=dict(attempt.seconds),
    )


def _candidate(candidate: Candidate, rank: int | None, ranked: Ranked | None, *, picked: bool) -> CandidateView:
    completion = candidate.completion
    source = candidate.program.source
    return CandidateView(
        id=f"candidate_{candidate.round}_{candidate.index}",
        round=candidate.round,
        index=candidate.index,
        rank=rank,
        picked=picked,
        cost=ranked.cost if ranked else None,
        p_pass=ranked.p_pass if ranked else None,
        problem=ranked.problem[:MAX_TEXT_CHARS] if ranked else "",
        mean_logprob=_mean_logprob(candidate),
        tokens=None if completion.logprobs is None else len(completion.logprobs),
        finish_reason=completion.finish_reason,
        temperature=completion.temperature,
        seed=completion.seed,
        copies=candidate.copies,
        sha256=candidate.digest,
        language=candidate.program.language,
        program=source[:MAX_PROGRAM_CHARS],
        truncated=len(source) > MAX_PROGRAM_CHARS,
    )


def _mean_logprob(candidate: Candidate) -> float | None:
    """Mean natural-log probability of the completion's tokens; None where there are none, or one was impossible."""
    logprobs = [token.logprob for token in candidate.completion.logprobs or ()]
    mean = sum(logprobs) / len(logprobs) if logprobs else math.nan
    return mean if math.isfinite(mean) else None


def _verdict(verdict: Verdict, n_visible: int) -> VerdictView:
    checks = [check.model_copy(update={"hidden": check.hidden or check.index >= n_visible}) for check in verdict.checks]
    # The verdict's own message speaks of the check that did not pass.
    told = all(check.outcome is Outcome.PASS for check in checks if check.hidden)
    return VerdictView(
        outcome=verdict.outcome,
        passed=verdict.passed,
        isolation=verdict.isolation,
        integrity=verdict.integrity,
        message=verdict.message[:MAX_TEXT_CHARS] if told else "",
        checks=[_hidden_check(check) if check.hidden else _check(check) for check in checks],
        wall_s=verdict.wall_s,
        cpu_s=verdict.cpu_s,
        peak_memory_mb=verdict.peak_memory_mb,
    )


def _hidden_check(check: CheckResult) -> CheckView:
    return CheckView(index=check.index, outcome=check.outcome, hidden=True)


def _check(check: CheckResult) -> CheckView:
    view = CheckView(
        index=check.index, outcome=check.outcome, integrity=check.integrity, shown=check.shown[:MAX_TEXT_CHARS],
        wall_s=check.wall_s, cpu_s=check.cpu_s,
    )
    if check.outcome is Outcome.PASS:  # a thousand of these must stay small, and nobody reads what a pass printed
        return view
    texts = {name: getattr(check, name) for name in ("expected", "actual", "message", "stdout", "stderr")}
    cut = {name: None if text is None else text[:MAX_TEXT_CHARS] for name, text in texts.items()}
    return view.model_copy(update={**cut, "truncated": check.truncated or cut != texts})


def _timings(summary: Summary) -> TimingsView:
    started, finished = summary.started_at, summary.finished_at
    return TimingsView(
        created_at=_time(summary.created_at),
        started_at=None if started is None else _time(started),
        finished_at=None if finished is None else _time(finished),
        queued_s=None if started is None else max(0.0, started - summary.created_at),
        running_s=None if started is None or finished is None else max(0.0, finished - started),
    )


def _error(summary: Summary) -> ErrorView | None:
    if summary.error_code is None:
        return None
    return ErrorView(code=summary.error_code, detail=summary.error_detail or "")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
