"""A solver for tests of the service: it does what the task's prompt says, in real domain types.

Prompts: ``verify``, ``unsolved``, ``unchecked``, ``sleep SECONDS``, ``stuck`` (does not stop when cancelled),
``interrupt``, ``invalid-check``, ``boom``, ``nan``. Every verdict speaks of hidden checks as a careless solver might.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from api.ports import Event, OpenSolver
from atlas.errors import ModelUnavailable, SolveInterrupted
from atlas.types import (
    Attempt,
    Budget,
    Candidate,
    Check,
    Completion,
    Program,
    Ranked,
    Solution,
    Status,
    Task,
    TokenLogprob,
    Usage,
    Verdict,
)
from sandbox.errors import InvalidCheck
from sandbox.types import CheckResult, Outcome

SECRET = "hidden_secret_31337"
REASON = "3 rounds are all that the budget allows"


@dataclass(frozen=True, kw_only=True)
class FakeEvent:
    name: str
    data: dict[str, object]


@dataclass(kw_only=True)
class FakeSolver:
    """Counts what was begun, cancelled and how many ran at once."""

    budget: Budget = field(default_factory=lambda: Budget(seconds=120))
    begun: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    budgets: list[Budget | None] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def solve(
        self,
        task: Task,
        *,
        hidden: Sequence[Check] = (),
        budget: Budget | None = None,
        seed: int = 0,
        observe: Callable[[Event], None] | None = None,
    ) -> Solution:
        self.begun.append(task.id)
        self.budgets.append(budget)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._solve(task, hidden, seed, observe or (lambda _: None))
        except asyncio.CancelledError:
            self.cancelled.append(task.id)
            raise
        finally:
            self.running -= 1

    async def _solve(
        self, task: Task, hidden: Sequence[Check], seed: int, observe: Callable[[Event], None]
    ) -> Solution:
        word, _, rest = task.prompt.partition(" ")
        observe(FakeEvent(name="attempt.started", data={"round": 0}))
        if word == "sleep":
            await asyncio.sleep(float(rest))
        if word == "stuck":
            await _sleep_through_cancels(float(rest or 30))
        if word == "invalid-check":
            raise InvalidCheck("check 1: cannot be read")
        if word == "boom":
            raise ZeroDivisionError("the inside of the service")
        attempt = Attempt(round=0)
        sources = ("def f(x):\n    return x * x\n", "def f(x): ...")
        attempt.candidates = [_candidate(index, source, seed) for index, source in enumerate(sources)]
        cost = float("nan") if word == "nan" else -1.5
        attempt.ranked = [
            Ranked(candidate=attempt.candidates[1], cost=cost, p_pass=0.9),
            Ranked(candidate=attempt.candidates[0], cost=None, problem="could not be scored"),
        ]
        attempt.usage = Usage(prompt_tokens=10, completion_tokens=20)
        attempt.seconds = {"generate": 0.5}
        if word == "interrupt":
            solution = Solution.of(task, [attempt], status=Status.INTERRUPTED)
            raise SolveInterrupted("the model went away", solution) from ModelUnavailable("connection refused")
        attempt.verdict = _verdict(task, hidden, passes=word not in ("unsolved", "hidden-fails"), word=word)
        observe(FakeEvent(name="sandbox.finished", data={"verdict": attempt.verdict.model_dump(mode="json")}))
        return Solution.of(task, [attempt], reason=REASON)


async def _sleep_through_cancels(seconds: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


def _candidate(index: int, source: str, seed: int) -> Candidate:
    logprobs = (TokenLogprob(token=b"def", logprob=-0.5), TokenLogprob(token=b" f", logprob=-1.5))
    completion = Completion(
        text=f"```python\n{source}```", finish_reason="stop", logprobs=logprobs, seed=seed + index, temperature=0.8
    )
    return Candidate(index=index, round=0, program=Program(source=source), completion=completion, span=(10, 20))


def _verdict(task: Task, hidden: Sequence[Check], *, passes: bool, word: str) -> Verdict:
    outcome = Outcome.PASS if passes else Outcome.FAIL
    visible_outcome = Outcome.PASS if word == "hidden-fails" else outcome
    results = [
        CheckResult(
            index=i, outcome=visible_outcome, shown=f"check {i}", expected="4", actual="5", message="wrong",
            stdout="said",
        )
        for i, _ in enumerate(task.checks)
    ]
    results += [
        CheckResult(
            index=i, outcome=outcome, shown=SECRET, expected=SECRET, actual=SECRET, message=SECRET, stderr=SECRET,
            hidden=i % 2 == 0,  # careless: every other one is not marked
        )
        for i, _ in enumerate(hidden, start=len(task.checks))
    ]
    message = "" if passes else f"{SECRET if hidden else 'check 0'} did not pass"
    return Verdict(outcome=outcome, isolation="fake", checks=tuple(results), message=message, wall_s=0.1, cpu_s=0.1)


@dataclass(kw_only=True)
class FakeAtlas:
    """A solver and parts that are ready, unless told otherwise. `probes` counts how often they were asked."""

    solver: FakeSolver = field(default_factory=FakeSolver)
    info: dict[str, object] = field(default_factory=lambda: {"model": "fake"})
    parts: dict[str, tuple[bool, str]] = field(default_factory=lambda: {"model": (True, "answers")})
    ready_takes_s: float = 0.0
    probes: int = 0

    async def ready(self) -> dict[str, tuple[bool, str]]:
        self.probes += 1
        await asyncio.sleep(self.ready_takes_s)
        return self.parts


def opener(atlas: FakeAtlas) -> OpenSolver:
    """What `create_app` takes, opening `atlas`."""

    @asynccontextmanager
    async def open_solver() -> AsyncIterator[FakeAtlas]:
        yield atlas

    return open_solver
