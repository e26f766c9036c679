"""What an entry point holds: the loop with its parts, composed anew for each task, and proof that the parts work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atlas.errors import AtlasError, ModelReplyError
from atlas.fingerprint import read_program
from atlas.hidden import HiddenChecks
from atlas.observe import ObservedLLM, ObservedRanker, ObservedSandbox, Observer
from atlas.prompts import messages
from atlas.protocols import Sampling
from atlas.solver import Solver
from atlas.types import AssertCheck, Budget, Candidate, Check, Program, Solution, Task
from sandbox.errors import SandboxError

KNOWN_TASK = Task(
    id="ready", prompt="Write a function that adds two numbers.", entry_point="add",
    checks=(AssertCheck(code="assert add(2, 3) == 5"),),
)
KNOWN_PROGRAM = Program(source="def add(a, b):\n    return a + b\n")
READY_TOKENS = 16
"""Enough to tell that a server answers, and with log-probabilities where it has them; cheap enough to ask for often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """`base` is the solver without what belongs to one task."""

    base: Solver
    info: Mapping[str, object]

    @property
    def solver(self) -> Service:
        """What solves tasks: this, since it composes a solver for each."""
        return self

    @property
    def budget(self) -> Budget:
        """What a task may cost where it does not say."""
        return self.base.budget

    async def solve(
        self,
        task: Task,
        *,
        hidden: Sequence[Check] = (),
        budget: Budget | None = None,
        seed: int = 0,
        observe: Observer | None = None,
    ) -> Solution:
        """Work on `task`. `hidden` checks are run after its own, and shown to nobody. Errors as `Solver.solve`."""
        solver = replace(self.base, seed=seed, budget=budget or self.base.budget)
        if hidden:
            added = HiddenChecks(sandbox=solver.sandbox, checks=tuple(hidden))
            solver = replace(solver, sandbox=added, more_checks=True)
        if observe is not None:
            solver = replace(
                solver,
                llm=ObservedLLM(llm=solver.llm, observe=observe),
                ranker=ObservedRanker(ranker=solver.ranker, observe=observe),
                sandbox=ObservedSandbox(sandbox=solver.sandbox, observe=observe),
            )
        return await solver.solve(task)

    async def ready(self) -> Mapping[str, tuple[bool, str]]:
        """Score a known program and run it: part name -> (works, what was seen). A part that fails is a value."""
        return {"cost": await self._scores(), "sandbox": await self._runs()}

    async def _scores(self) -> tuple[bool, str]:
        try:
            candidate = await self._known_candidate()
            # With a sibling, since agreement with none is unknown and no baseline could rank by it.
            ranked, _ = await self.base.ranker.rank(KNOWN_TASK, [candidate, replace(candidate, index=1)])
        except AtlasError as exc:
            return False, str(exc)
        if ranked.cost is None:
            return False, ranked.problem
        return True, f"{self.base.ranker.name}: a known program costs {ranked.cost:.3f}"

    async def _known_candidate(self) -> Candidate:
        """The known program as if the model had written it; raises AtlasError where the model does not answer.

        A server that cannot read a given answer is asked for a short one, whose tokens then stand for the program's:
        so that it is really asked, and what a ranker needs of tokens is there.
        """
        llm = self.base.llm
        if llm.capabilities.states:
            return await read_program(llm, KNOWN_TASK, KNOWN_PROGRAM)
        sampling = Sampling(n=1, temperature=self.base.temperature.at(0), seed=0, max_tokens=READY_TOKENS)
        made, _ = await llm.sample(messages(KNOWN_TASK), sampling)
        if not made:
            raise ModelReplyError("the model's server gave no answer to a short question")
        return Candidate(index=0, round=0, program=KNOWN_PROGRAM, completion=made[0], span=(0, len(made[0].text)))

    async def _runs(self) -> tuple[bool, str]:
        try:
            verdict = await self.base.sandbox.run(KNOWN_PROGRAM, KNOWN_TASK.checks, KNOWN_TASK.limits)
        except SandboxError as exc:
            return False, str(exc)
        return verdict.passed, f"{verdict.isolation}: a known program gets {verdict.outcome}"
