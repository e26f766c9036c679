"""The stages of a run, joined by files: references, generate, extract, fingerprint, grade. Each does what is missing.

Problems flow through the stages one behind the other, so that the sandbox works on one while the model writes for the
next; each stage has its own limit. What goes wrong with infrastructure is noted against the problem, which stays undone
and is done by the next run; several in a row end the run, because then it is not the problem's fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from atlas.errors import AtlasError, ModelError
from atlas.evals.fingerprints import fingerprint
from atlas.evals.generate import generate, recorded
from atlas.evals.grade import PAUSE_S, SandboxFailed, grade, read_grades
from atlas.evals.problems import Excluded, Problem
from atlas.evals.progress import Progress
from atlas.evals.references import References
from atlas.evals.run import Run, require_distinct_files
from atlas.protocols import LLM, Fingerprinter
from atlas.types import Candidate
from sandbox.errors import InvalidCheck
from sandbox.types import Sandbox

IN_A_ROW = 5
"""Problems that infrastructure may fail one after the other before the run gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many problems each stage works on at once: the model, the fingerprinter, the sandbox."""

    model: int = 1
    fingerprint: int = 1
    sandbox: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What does the work."""

    llm: LLM
    fingerprinter: Fingerprinter
    sandbox: Sandbox
    references: References
    pause_s: float = PAUSE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A problem that infrastructure left undone, and what it said."""

    id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: the problems that are done, with their settled checks, and the others by name."""

    done: tuple[Problem, ...]
    excluded: tuple[Excluded, ...]
    troubles: tuple[Trouble, ...]


Finished = Callable[[Problem], Awaitable[None]]


class RunStopped(AtlasError):
    """Infrastructure failed several problems in a row. What was done is kept; the same command goes on with it."""


@dataclass(slots=True, kw_only=True)
class _Book:
    """What happened so far, for the end and for the progress line."""

    progress: Progress
    done: list[Problem] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    in_a_row: int = 0

    def trouble(self, problem: Problem, error: Exception) -> None:
        self.troubles.append(Trouble(id=problem.id, message=f"{type(error).__name__}: {error}"))
        self.progress.troubles += 1
        self.in_a_row += 1
        if self.in_a_row >= IN_A_ROW:
            raise RunStopped(
                f"{IN_A_ROW} problems in a row were left undone, the last because of this: {error}. "
                "What was done is kept: mend the cause and run the same command again"
            ) from error

    def exclude(self, excluded: Excluded) -> None:
        self.excluded.append(excluded)
        self.progress.excluded += 1
        self.progress.done += 1

    def finish(self, problem: Problem, candidates: Sequence[Candidate], passed: int, *, worked: bool) -> None:
        self.done.append(problem)
        self.progress.done += 1
        self.progress.resumed += not worked
        self.progress.solved += passed > 0
        self.progress.failed += passed == 0
        self.progress.saved += sum(candidate.copies - 1 for candidate in candidates)
        self.progress.candidates += len(candidates)
        self.progress.passed += passed
        self.in_a_row = 0


class Stages:
    """The stages of one run over its parts. Three limits: problems at the model, the fingerprinter and the sandbox."""

    def __init__(self, run: Run, parts: Parts, limits: Concurrency) -> None:
        self.run = run
        self.parts = parts
        self.limits = limits
        self._model = anyio.CapacityLimiter(limits.model)
        self._fingerprint = anyio.CapacityLimiter(limits.fingerprint)
        self._sandbox = anyio.CapacityLimiter(limits.sandbox)

    async def all(
        self, problems: Sequence[Problem], progress: Progress, finished: Finished | None = None
    ) -> Outcome:
        """Do what is missing of every problem. `finished` is awaited with each problem as it gets done.

        Raises RunStopped where infrastructure is down, ConfigError where the run's files were made otherwise.
        """
        require_distinct_files(tuple(problems))
        book = _Book(progress=progress)
        room = anyio.Semaphore(self.limits.model + self.limits.fingerprint + 2 * self.limits.sandbox)
        async with one_error(), anyio.create_task_group() as tasks:
            for problem in problems:
                await room.acquire()
                tasks.start_soon(self._one, problem, book, room, finished)
        order = {problem.id: i for i, problem in enumerate(problems)}
        return Outcome(
            done=tuple(sorted(book.done, key=lambda p: order[p.id])),
            excluded=tuple(sorted(book.excluded, key=lambda e: order[e.id])),
            troubles=tuple(sorted(book.troubles, key=lambda t: order[t.id])),
        )

    async def _one(self, problem: Problem, book: _Book, room: anyio.Semaphore, finished: Finished | None) -> None:
        try:
            await self._stages(problem, book, finished)
        except InvalidCheck as error:
            book.exclude(Excluded(id=problem.id, reason=f"a check cannot be read: {error}"))
        except (ModelError, SandboxFailed) as error:
            book.trouble(problem, error)
        finally:
            room.release()

    async def _stages(self, problem: Problem, book: _Book, finished: Finished | None) -> None:
        async with self._sandbox:
            settled = await self.parts.references.settle(problem)
        if isinstance(settled, Excluded):
            book.exclude(settled)
            return
        async with self._model:
            usage = await generate(self.run, settled, self.parts.llm)
        book.progress.tokens += usage.completion_tokens
        candidates, _ = await anyio.to_thread.run_sync(recorded, self.run, settled)
        async with self._fingerprint:
            made = await fingerprint(self.run, settled, candidates, self.parts.fingerprinter)
        async with self._sandbox:
            graded = await grade(self.run, settled, candidates, self.parts.sandbox, pause_s=self.parts.pause_s)
        grades = read_grades(self.run, settled)
        if finished is not None:
            await finished(settled)
        passed = sum(grades[candidate.digest].passed for candidate in candidates)
        book.finish(settled, candidates, passed, worked=bool(usage.total or made or graded))


@asynccontextmanager
async def one_error() -> AsyncIterator[None]:
    """A single error out of a task group comes out as itself, so that callers catch it by its class."""
    try:
        yield
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group
