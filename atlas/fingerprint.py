"""(task, candidates) -> fingerprints, and the id that names everything which shapes them.

Two ways to an embedding. An engine that hands out states gives it with the generation: the mean of the states over
the code's tokens, the task in context. Any other server with embeddings is asked for that of one rendered text. A
server with neither leaves the scalars alone. What is served is what was trained on: the id of the way, the model, the
prompt and the features travels with data and artifact, and a mismatch is refused at start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from atlas.errors import ConfigError
from atlas.features import OF_TOKENS, SCALARS, code_tokens, scalars
from atlas.prompts import PROMPT_VERSION, fenced, messages
from atlas.protocols import LLM, Fingerprint, ModelTooLong
from atlas.types import Candidate, Completion, Program, Task

FINGERPRINT_VERSION = 4
Source = Literal["states", "embeddings", "none"]
WORDS = {"states": "the states of its tokens", "embeddings": "embeddings of a text"}
EMPTY = np.zeros(0, dtype=np.float32)


def render(task: Task, program: Program) -> str:
    """Task and program as the one text that a server without states embeds."""
    return f"Task:\n{task.prompt.strip()}\n\nProgram:\n{fenced(program.source, task, len(program.source) + 1)}\n"


def fingerprint_id(*, model: str, source: Source) -> str:
    """Names a kind of fingerprint: `fp3-states-…`. `model`: the weights' sha256 where known, else the server's name."""
    parts = {
        "version": FINGERPRINT_VERSION, "model": model, "source": source,
        "pooling": "mean over code, layer 2/3", "prompt": PROMPT_VERSION, "scalars": SCALARS,
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return f"fp{FINGERPRINT_VERSION}-{source}-{digest}"


def pool(candidate: Candidate) -> NDArray[np.float32]:
    """(d,) the mean state over the code's tokens. Raises ValueError where the completion has no states for them."""
    states = candidate.completion.states
    if states is None or candidate.completion.logprobs is None:
        raise ValueError("the model's server gave no states for this candidate")
    rows = states[code_tokens(candidate)].astype(np.float32)
    if not len(rows) or len(states) != len(candidate.completion.logprobs):
        raise ValueError("the states do not cover this candidate's code")
    mean: NDArray[np.float32] = rows.mean(axis=0)
    if not np.isfinite(mean).all():
        raise ValueError("the model's states are not finite")
    return mean


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFingerprinter:
    """Fingerprints from the model that wrote the candidates. `source` says where the embedding comes from."""

    llm: LLM
    source: Source

    @classmethod
    def best(cls, llm: LLM) -> ModelFingerprinter:
        """The richest kind of fingerprint that this server can give."""
        can = llm.capabilities
        return cls(llm=llm, source="states" if can.states else "embeddings" if can.embeddings else "none")

    @property
    def id(self) -> str:
        can = self.llm.capabilities
        return fingerprint_id(model=can.model_sha256 or can.model, source=self.source)

    @property
    def scalar_names(self) -> tuple[str, ...]:
        return SCALARS

    def lacking(self, fingerprint_id: str, needed: Sequence[str]) -> str:
        """What a Cost Field of this kind needs and this server does not give, in words; "" where nothing is known of.

        `needed`: the scalars that its card asks for.
        """
        source = fingerprint_id.split("-")[1:2]
        found = [WORDS[name] for name in source if name in WORDS and name != self.source]
        tokens = [name for name in needed if name in OF_TOKENS]
        if tokens and not self.llm.capabilities.logprobs:
            found.append(f"log-probabilities ({', '.join(tokens)})")
        return " and ".join(found)

    async def fingerprints(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Fingerprint]:
        """One for each candidate, in order. What goes wrong with one candidate is its `problem`, not an exception."""
        table = scalars(task, candidates)
        embeddings = await self._embeddings(task, candidates)
        return [
            Fingerprint(embedding=EMPTY, scalars=row, problem=found)
            if isinstance(found, str)
            else Fingerprint(embedding=found, scalars=row)
            for found, row in zip(embeddings, table, strict=True)
        ]

    async def _embeddings(self, task: Task, candidates: Sequence[Candidate]) -> list[NDArray[np.float32] | str]:
        if self.source == "none":
            return [EMPTY] * len(candidates)
        if self.source == "embeddings":
            vectors = await self.llm.embed([render(task, c.program) for c in candidates])
            return [v.message if isinstance(v, ModelTooLong) else v for v in vectors]
        return [_pooled(candidate) for candidate in candidates]


def _pooled(candidate: Candidate) -> NDArray[np.float32] | str:
    try:
        return pool(candidate)
    except ValueError as exc:
        return str(exc)


async def read_program(llm: LLM, task: Task, program: Program, *, index: int = 0) -> Candidate:
    """A candidate out of a program that somebody else wrote, as if the model had answered `task` with it.

    Raises ConfigError where the text does not fit the model.
    """
    text = fenced(program.source, task, len(program.source) + 1).removesuffix("`").rstrip("`").rstrip("\n") + "\n"
    begin = text.index("\n") + 1
    completion: Completion | ModelTooLong = Completion(text=text, finish_reason="stop")
    if llm.capabilities.states:
        completion = await llm.read(messages(task), text)
    if isinstance(completion, ModelTooLong):
        raise ConfigError(f"the program does not fit the model: {completion.message}")
    return Candidate(index=index, round=0, program=program, completion=completion, span=(begin, len(completion.text)))
