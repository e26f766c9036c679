"""`atlas eval loop`: the solver as a user gets it, problem by problem. Only visible checks reach it.

The first round is dealt from the pool that the run has recorded, so that pool and loop speak of the same candidates;
whatever else is asked, the model answers. What is handed out is judged afterwards by every check. A problem is a file,
written whole: killed at any point, the same command does what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from atlas.errors import ModelError, SolveInterrupted
from atlas.evals.generate import recorded, seed_of
from atlas.evals.grade import SandboxFailed, judge, read_grades
from atlas.evals.loop_results import (
    RESULTS,
    SETUP,
    Looped,
    LoopResults,
    LoopSetup,
    loop_results,
    problem_path,
)
from atlas.evals.problems import Excluded, Problem
from atlas.evals.progress import Progress
from atlas.evals.run import Run, require_distinct_files
from atlas.evals.stages import IN_A_ROW, Parts, RunStopped
from atlas.prompts import messages as prompt
from atlas.protocols import LLM, Capabilities, ModelTooLong, Sampling
from atlas.rank import CostFieldRanker
from atlas.recording import read_completions
from atlas.solver import Solver
from atlas.types import Completion, Message, Program, Solution, Status, Usage, digest
from costfield.shards import replace_file
from sandbox.errors import InvalidCheck, SandboxError


@dataclass(slots=True, kw_only=True)
class FirstRound:
    """An `LLM` that deals the first round of one problem from recorded completions, and asks `llm` the rest.

    Completion i was drawn with seed `seed` + i, to the prompt `asked` at `temperature`, the first at 0 where the pool
    is `greedy_first`: a request for others is not
    the pool's to answer, and one that goes beyond its end is the model's altogether.
    """

    llm: LLM
    asked: Sequence[Message]
    completions: Sequence[Completion]
    seed: int
    temperature: float
    max_tokens: int
    greedy_first: bool
    prompt_tokens: int
    replayed: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.llm.capabilities

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        first = sampling.seed - self.seed
        pool = (self.temperature, self.max_tokens, self.greedy_first and first == 0)
        same = (sampling.temperature, sampling.max_tokens, sampling.greedy_first) == pool
        hand = self.completions[first : first + sampling.n] if first >= 0 else ()
        told = all(one.logprobs is not None for one in hand)  # else nobody knows what each of them cost
        if tuple(messages) != tuple(self.asked) or not same or len(hand) != sampling.n or not told:
            return await self.llm.sample(messages, sampling)
        self.replayed += sampling.n
        paid = sum(len(one.logprobs or ()) for one in hand)
        return hand, Usage(prompt_tokens=self.prompt_tokens, completion_tokens=paid)

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        return await self.llm.embed(texts)

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        return await self.llm.read(messages, text)

    async def aclose(self) -> None:
        await self.llm.aclose()


def setup_of(solver: Solver, fingerprint_id: str, seed: int) -> LoopSetup:
    """What `solver` will do, in a form that is kept and compared."""
    policy, ranker = solver.policy, solver.ranker
    settings: dict[str, Any] = asdict(policy) if is_dataclass(policy) and not isinstance(policy, type) else {}
    return LoopSetup(
        policy=policy.name, ranker=ranker.name, fingerprint_id=fingerprint_id, budget=solver.budget, seed=seed,
        policy_settings={
            name: value.model_dump() if hasattr(value, "model_dump") else value for name, value in settings.items()
        },
        cost_field=ranker.field.card.weights_sha256 if isinstance(ranker, CostFieldRanker) else "",
        isolation=solver.sandbox.isolation,
    )


async def run_loop(
    run: Run, problems: Sequence[Problem], parts: Parts, solver: Solver, progress: Progress
) -> LoopResults:
    """Play what is missing, one problem at a time so that seconds mean something, and measure all of them.

    Raises RunStopped where infrastructure fails several in a row, ConfigError where files of the run do not fit.
    """
    require_distinct_files(tuple(problems))
    setup = setup_of(solver, parts.fingerprinter.id, run.config.seed)
    folder = setup.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / SETUP, (setup.model_dump_json(indent=2) + "\n").encode())
    book = _Book(progress=progress)
    for problem in problems:
        try:
            book.note(await _one(run, problem, parts, solver, setup, progress))
        except (ModelError, SolveInterrupted, SandboxFailed, SandboxError) as error:
            book.trouble(problem, error)
    results = loop_results(setup, book.found, book.excluded, book.troubles)
    replace_file(folder / RESULTS, (results.model_dump_json(indent=2) + "\n").encode())
    return results


@dataclass(slots=True, kw_only=True)
class _Book:
    """What happened so far."""

    progress: Progress
    found: list[Looped] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    in_a_row: int = 0

    def note(self, one: Looped | Excluded) -> None:
        self.in_a_row = 0
        self.progress.done += 1
        if isinstance(one, Looped):
            self.found.append(one)
            self.progress.solved += one.solved
            self.progress.failed += not one.solved
            self.progress.saved += max(one.completions - one.sandbox_runs, 0)
        else:
            self.excluded[one.id] = one.reason
            self.progress.excluded += 1

    def trouble(self, problem: Problem, error: Exception) -> None:
        """Raises RunStopped where it is one of several in a row."""
        self.troubles[problem.id] = f"{type(error).__name__}: {error}"
        self.progress.troubles += 1
        self.in_a_row += 1
        if self.in_a_row >= IN_A_ROW:
            raise RunStopped(
                f"{IN_A_ROW} problems in a row were left undone, the last because of this: {error}. "
                "What was done is kept: mend the cause and run the same command again"
            ) from error


async def _one(
    run: Run, problem: Problem, parts: Parts, solver: Solver, setup: LoopSetup, progress: Progress
) -> Looped | Excluded:
    settled = await parts.references.settle(problem)
    if isinstance(settled, Excluded):
        return settled
    folder = setup.folder(run)
    if (known := Looped.read(problem_path(folder, problem.id), settled)) is not None:
        progress.resumed += 1
        return known
    llm = await anyio.to_thread.run_sync(_dealer, run, settled, solver.llm)
    seed = seed_of(problem.id, run.config.seed)
    try:
        solution = await replace(solver, llm=llm, seed=seed).solve(settled.task)
        solved = await _solved(run, settled, solution, parts)
    except InvalidCheck as error:
        return Excluded(id=problem.id, reason=f"a check cannot be read: {error}")
    one = Looped.of(settled, solution, solved=solved, replayed=llm.replayed)
    await anyio.to_thread.run_sync(one.write, folder)
    progress.tokens += solution.usage.completion_tokens
    return one


def _dealer(run: Run, problem: Problem, llm: LLM) -> FirstRound:
    """The pool's completions of the problem, where there are any. Raises ConfigError where they answer another prompt.
    """
    path, paid = run.path("completions", problem), Usage()
    completions: list[Completion] = []
    if path.exists() and run.config.top_p == 1.0:  # the loop samples without a cut
        _, paid = recorded(run, problem)
        completions, _ = read_completions(path)
    return FirstRound(
        llm=llm, asked=prompt(problem.task), completions=completions, seed=seed_of(problem.id, run.config.seed),
        temperature=run.config.temperature, max_tokens=run.config.max_tokens, greedy_first=run.config.greedy_first,
        prompt_tokens=paid.prompt_tokens,
    )


async def _solved(run: Run, problem: Problem, solution: Solution, parts: Parts) -> bool:
    """Whether what was handed out passes every check; the pool's grade where it has this very program."""
    program: Program | None = solution.program
    if program is None or solution.status not in (Status.VERIFIED, Status.UNCHECKED):
        return False
    grade = read_grades(run, problem).get(digest(program))
    if grade is not None:
        return grade.passed
    return (await judge(parts.sandbox, program, problem.checks, problem.limits, pause_s=parts.pause_s)).passed
