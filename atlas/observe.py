"""What happens, as events: wrappers around the loop's parts that tell an observer, so that the loop need not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atlas.protocols import LLM, Capabilities, ModelTooLong, Ranker, Sampling
from atlas.types import Candidate, Completion, Message, Ranked, Task, Usage
from sandbox.types import Check, Limits, Program, Sandbox, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: a dotted name, and data that JSON can hold."""

    name: str
    data: Mapping[str, object] = field(default_factory=dict)


Observer = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedLLM:
    """Tells when completions are asked for and when they have come."""

    llm: LLM
    observe: Observer

    @property
    def capabilities(self) -> Capabilities:
        return self.llm.capabilities

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        asked = {
            "n": sampling.n, "temperature": sampling.temperature, "greedy_first": sampling.greedy_first,
            "model": self.capabilities.model,
        }
        self.observe(Event(name="generation.started", data=asked))
        completions, usage = await self.llm.sample(messages, sampling)
        paid = {"completions": len(completions), "prompt_tokens": usage.prompt_tokens}
        self.observe(
            Event(name="generation.finished", data={**paid, "completion_tokens": usage.completion_tokens})
        )
        return completions, usage

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        return await self.llm.embed(texts)

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        return await self.llm.read(messages, text)

    async def aclose(self) -> None:
        await self.llm.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRanker:
    """Tells each candidate's cost and rank."""

    ranker: Ranker
    observe: Observer

    @property
    def name(self) -> str:
        return self.ranker.name

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
        ranked = await self.ranker.rank(task, candidates)
        listed = [
            {"rank": rank, "index": r.candidate.index, "cost": r.cost, "p_pass": r.p_pass, "problem": r.problem}
            for rank, r in enumerate(ranked)
        ]
        self.observe(Event(name="candidates.ranked", data={"ranker": self.name, "candidates": listed}))
        return ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSandbox:
    """Tells when a program is run and what became of it."""

    sandbox: Sandbox
    observe: Observer

    @property
    def isolation(self) -> str:
        return self.sandbox.isolation

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        self.observe(Event(name="sandbox.started", data={"isolation": self.isolation}))
        verdict = await self.sandbox.run(program, checks, limits)
        facts = {
            "outcome": verdict.outcome.value, "isolation": verdict.isolation, "integrity": verdict.integrity,
            "checks": len(verdict.checks), "wall_s": verdict.wall_s, "message": verdict.message,
        }
        self.observe(Event(name="sandbox.finished", data=facts))
        return verdict

    async def aclose(self) -> None:
        await self.sandbox.aclose()
