"""Candidates, and a model and a sandbox that follow a script: for tests of the domain, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from atlas.protocols import Capabilities, ModelTooLong, Sampling
from atlas.types import (
    Attempt,
    CallCheck,
    Candidate,
    Check,
    Completion,
    Limits,
    Message,
    Program,
    Ranked,
    Task,
    TokenLogprob,
    Usage,
    Verdict,
)
from sandbox.types import CheckResult, Outcome

TASK = Task(id="t", prompt="Double x.", entry_point="f", checks=(CallCheck(call="f(2)", expected="4"),))
CAN = Capabilities(model="fake", n=True, logprobs=True, embeddings=False, states=True, seeds=True, model_sha256="f0")


def code(source: str) -> str:
    """An answer that holds `source`."""
    return f"```python\n{source}\n```\n"


def completion(text: str, *, tokens: Sequence[bytes] | None = None, **changes: Any) -> Completion:
    """`text` with a log-probability and a state for each token; by default, tokens of four bytes."""
    raw = text.encode()
    tokens = [raw[i : i + 4] for i in range(0, len(raw), 4)] if tokens is None else tokens
    fields: dict[str, Any] = {
        "text": text, "finish_reason": "stop",
        "logprobs": tuple(TokenLogprob(token=t, logprob=-0.1 * (i + 1), second=-3.0) for i, t in enumerate(tokens)),
        "states": np.arange(2 * len(tokens), dtype=np.float16).reshape(-1, 2),
    }
    return Completion(**(fields | changes))


def candidate(source: str, index: int = 0, *, copies: int = 1, **changes: Any) -> Candidate:
    """A candidate that is the whole of its completion."""
    made = completion(source, **changes)
    program = Program(source=source)
    return Candidate(index=index, round=0, program=program, completion=made, span=(0, len(source)), copies=copies)


def verdict(outcome: str = "PASS", *results: CheckResult, **fields: Any) -> Verdict:
    results = results or (CheckResult(index=0, outcome=Outcome(outcome), shown="f(2) == 4"),)
    return Verdict(outcome=Outcome(outcome), isolation="fake", checks=results, **fields)


def attempt(source: str, found: Verdict | None, round_: int = 0) -> Attempt:
    """A round whose one candidate is `source`."""
    one = candidate(source)
    return Attempt(round=round_, candidates=[one], ranked=[Ranked(candidate=one, cost=0.0)], verdict=found)


@dataclass(kw_only=True)
class ScriptLLM:
    """Says `rounds[i]` when asked the i-th time (the last again and again); an exception there is raised."""

    rounds: Sequence[Sequence[str] | Exception]
    capabilities: Capabilities = CAN
    seconds: float = 0.0
    asked: list[tuple[tuple[Message, ...], Sampling]] = field(default_factory=list)

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        self.asked.append((tuple(messages), sampling))
        await anyio.sleep(self.seconds)
        said = self.rounds[min(len(self.asked), len(self.rounds)) - 1]
        if isinstance(said, Exception):
            raise said
        return [completion(text) for text in said], Usage(prompt_tokens=10, completion_tokens=10 * len(said))

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        return tuple(
            ModelTooLong(message="too long") if "LONG" in text else np.array([len(text), 1.0], dtype=np.float32)
            for text in texts
        )

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        return ModelTooLong(message="too long") if "LONG" in text else completion(text)

    async def aclose(self) -> None:
        return None


@dataclass(kw_only=True)
class ScriptSandbox:
    """Passes programs that say `right`; `answer` overrides it, and an exception there is raised. Remembers its runs."""

    isolation: str = "fake"
    answer: Verdict | Exception | None = None
    seconds: float = 0.0
    runs: list[str] = field(default_factory=list)
    checks: list[tuple[Check, ...]] = field(default_factory=list)

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        self.runs.append(program.source)
        self.checks.append(tuple(checks))
        await anyio.sleep(self.seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        right = "right" in program.source
        results = [CheckResult(index=i, outcome=Outcome.PASS) for i in range(max(1, len(checks)))]
        if right:
            return verdict("PASS", *results)
        last = CheckResult(
            index=len(results) - 1, outcome=Outcome.FAIL, shown="f(2) == 4", expected="4", actual="ACTUAL",
            stderr="STDERR",
        )
        return verdict("FAIL", *results[:-1], last, message="expected 4")

    async def aclose(self) -> None:
        return None
