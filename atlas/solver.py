"""THE LOOP: ask for programs, rank them, run the cheapest, tell the model what went wrong. Read first, changed last.

What comes next, another request, a run or the end, is the policy's business. A new model server, ranker, policy or
sandbox never touches this file, and a new stage is not a flag in here: it is another `LLM`, `Ranker`, `Policy` or
`Sandbox`, composed in `atlas.wiring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from atlas import extract, prompts
from atlas.errors import ModelError, RankingError, SolveInterrupted
from atlas.policy import FixedRounds
from atlas.protocols import LLM, Generate, Move, Policy, Position, Ranker, Run, Sampling, Stop
from atlas.types import Attempt, Budget, Candidate, Solution, Status, Task
from sandbox.errors import InvalidCheck, SandboxError, SandboxUnavailable
from sandbox.types import Outcome, Sandbox, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Warming:
    """Temperature by round: it rises where the model has been wrong, up to `ceiling`, and never falls below `start`.

    With `greedy_first`, a task's very first completion is the likeliest one, at temperature 0.
    """

    start: float = 0.8
    step: float = 0.1
    ceiling: float = 1.2
    greedy_first: bool = True

    def at(self, round_: int) -> float:
        return max(self.start, min(self.start + self.step * round_, self.ceiling))


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """Everything a task needs. Holds no state between tasks, so one solver may work on several at once."""

    llm: LLM
    ranker: Ranker
    sandbox: Sandbox
    budget: Budget
    policy: Policy = field(default_factory=FixedRounds)
    more_checks: bool = False
    """Whether `sandbox` adds checks to a task's own (`atlas.hidden`), so that a run says more than that it loads."""
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
            with anyio.move_on_after(self.budget.seconds):
                while not isinstance(move := self.next(task, attempts), Stop):
                    attempt = attempt_for(move, attempts)
                    if isinstance(move, Generate):
                        with attempt.timed("generate"):
                            await self.propose(task, attempts, move.n)
                        with attempt.timed("rank"):
                            attempt.ranked = await self.ranker.rank(task, attempt.candidates)
                    else:
                        attempt.ranked = move.ranked
                        with attempt.timed("sandbox"):
                            attempt.verdict = await self.judge(task, move.ranked[0].candidate)
                return Solution.of(task, attempts, reason=move.reason)
        except InvalidCheck:
            raise
        except (ModelError, RankingError, SandboxError) as exc:
            stopped = Solution.of(task, attempts, status=Status.INTERRUPTED, reason=str(exc))
            raise SolveInterrupted(str(exc), stopped) from exc
        late = f"{self.budget.seconds:g} seconds are all that the budget allows"
        return Solution.of(task, attempts, status=Status.TIMED_OUT, reason=late)

    def next(self, task: Task, attempts: Sequence[Attempt]) -> Move:
        """What the policy would have done in this position."""
        checked = bool(task.checks) or self.more_checks
        return self.policy.next(Position(attempts=attempts, budget=self.budget, checked=checked))

    async def judge(self, task: Task, candidate: Candidate) -> Verdict:
        """Run one candidate. Raises SandboxUnavailable where there is no verdict on it but a failure of our own."""
        verdict = await self.sandbox.run(candidate.program, task.checks, task.limits)
        if verdict.outcome is Outcome.SANDBOX_ERROR:
            raise SandboxUnavailable(verdict.message or "the sandbox gave no verdict, and no reason")
        return verdict

    async def propose(self, task: Task, attempts: Sequence[Attempt], n: int) -> None:
        """`n` more completions for the last of `attempts`; programs that earlier ones have run are no candidates."""
        *history, attempt = attempts
        sampling = Sampling(
            n=n,
            temperature=self.temperature.at(attempt.round),
            # Seeds of different rounds do not overlap: choice i of a round has seed + i.
            seed=self.seed + attempt.round * 1_000 + sum(attempt.asked),
            max_tokens=self.max_tokens,
            stop=prompts.STOP,
            greedy_first=self.temperature.greedy_first and not attempt.round and not attempt.asked,
        )
        attempt.asked.append(n)
        completions, usage = await self.llm.sample(prompts.messages(task, history), sampling)
        attempt.usage += usage
        attempt.completions += completions
        tried = {a.pick.digest for a in history if a.pick is not None and a.verdict is not None}
        found = extract.candidates(task, attempt.completions, attempt.round)
        attempt.candidates = [c for c in found if c.digest not in tried]


def attempt_for(move: Generate | Run, attempts: list[Attempt]) -> Attempt:
    """The attempt that a move belongs to: the last one while it has no verdict, unless another round begins.

    It is in the list before the work is done: a deadline keeps what was paid for.
    """
    round_ = move.round_ if isinstance(move, Generate) else attempts[-1].round
    if not attempts or attempts[-1].verdict is not None or attempts[-1].round != round_:
        attempts.append(Attempt(round=round_))
    return attempts[-1]
