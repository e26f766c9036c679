"""THE LOOP: ask for several programs, run the cheapest, tell the model what went wrong. Read first, changed last.

A new model server, ranker or sandbox never touches this file, and a new stage is not a flag in here: it is another
`LLM`, `Ranker` or `Sandbox`, composed in `atlas.wiring`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio

from atlas import extract, prompts
from atlas.errors import ModelError, RankingError, SolveInterrupted
from atlas.protocols import LLM, Ranker, Sampling
from atlas.types import Attempt, Budget, Candidate, Solution, Status, Task
from sandbox.errors import InvalidCheck, SandboxError, SandboxUnavailable
from sandbox.types import Outcome, Sandbox, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Warming:
    """Temperature by round: it rises where the model has been wrong, up to `ceiling`, and never falls below `start`."""

    start: float = 0.8
    step: float = 0.1
    ceiling: float = 1.2

    def at(self, round_: int) -> float:
        return max(self.start, min(self.start + self.step * round_, self.ceiling))


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Everything a task needs. Holds no state between tasks, so one solver may work on several at once."""

    llm: LLM
    ranker: Ranker
    sandbox: Sandbox
    budget: Budget
    temperature: Warming = Warming()
    max_tokens: int = 1024
    seed: int = 0

    async def solve(self, task: Task) -> Solution:
        """Work on `task` until a program passes or the budget is used up.

        Raises SolveInterrupted (with the solution so far) where a part fails for good, InvalidCheck where a check
        cannot be read. Cancelling it leaves nothing running.
        """
        attempts: list[Attempt] = []
        try:
            with anyio.move_on_after(self.budget.seconds) as deadline:
                for round_ in self.rounds(attempts):
                    attempt = Attempt(round=round_)
                    attempts.append(attempt)  # before the work: a deadline keeps what was paid for
                    with attempt.timed("generate"):
                        attempt.candidates = await self.propose(task, attempts)
                    with attempt.timed("rank"):
                        attempt.ranked = await self.ranker.rank(task, attempt.candidates)
                    if attempt.pick is None:
                        continue
                    with attempt.timed("sandbox"):
                        attempt.verdict = await self.judge(task, attempt.pick)
                    if attempt.passed:
                        break
        except InvalidCheck:
            raise
        except (ModelError, RankingError, SandboxError) as exc:
            raise SolveInterrupted(str(exc), Solution.of(task, attempts, status=Status.INTERRUPTED)) from exc
        return Solution.of(task, attempts, status=Status.TIMED_OUT if deadline.cancelled_caught else None)

    def rounds(self, attempts: Sequence[Attempt]) -> Iterator[int]:
        """Round numbers for as long as the budget has rounds, tokens and sandbox runs left."""
        for round_ in range(self.budget.rounds):
            runs = sum(a.verdict is not None for a in attempts)
            tokens = sum(a.usage.total for a in attempts)
            if runs >= self.budget.sandbox_runs or tokens >= self.budget.tokens:
                return
            yield round_

    async def judge(self, task: Task, candidate: Candidate) -> Verdict:
        """Run one candidate. Raises SandboxUnavailable where there is no verdict on it but a failure of our own."""
        verdict = await self.sandbox.run(candidate.program, task.checks, task.limits)
        if verdict.outcome is Outcome.SANDBOX_ERROR:
            raise SandboxUnavailable(verdict.message or "the sandbox gave no verdict, and no reason")
        return verdict

    async def propose(self, task: Task, attempts: Sequence[Attempt]) -> list[Candidate]:
        """New candidates for the last of `attempts`; programs that earlier ones have run are not among them."""
        *history, attempt = attempts
        tried = {a.pick.digest for a in history if a.pick is not None}
        sampling = Sampling(
            n=self.budget.candidates,
            temperature=self.temperature.at(attempt.round),
            # Seeds of different rounds do not overlap: choice i of a round has seed + i.
            seed=self.seed + attempt.round * 1_000,
            max_tokens=self.max_tokens,
            stop=prompts.STOP,
        )
        completions, attempt.usage = await self.llm.sample(prompts.messages(task, history), sampling)
        return [c for c in extract.candidates(task, completions, attempt.round) if c.digest not in tried]
