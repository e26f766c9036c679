"""What is asked of the decoder and what it gives back: a job, and its choices as they grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True, kw_only=True, eq=False)
class Choice:
    """One completion on its way. Rows of `states` and entries of `logprobs` and `seconds` go with `pieces`."""

    index: int
    rng: np.random.Generator
    temperature: float
    sequence: int = -1
    position: int = 0
    last: int = -1
    pieces: list[bytes] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    states: list[NDArray[np.float16]] = field(default_factory=list)
    closing: str = ""
    """Why it ends, once nothing is left but to fetch the state of its last token."""
    finish_reason: str = ""

    @property
    def text(self) -> bytes:
        return b"".join(self.pieces)

    def cut_at(self, stop: Sequence[bytes]) -> bool:
        """Where the text now holds a stop string, drop it and what follows from all lists, and say so."""
        if not stop:
            return False
        text = self.text
        begin = max(0, len(text) - len(self.pieces[-1]) - max(map(len, stop)))
        hits = [at for at in (text.find(s, begin) for s in stop) if at >= 0]
        if not hits:
            return False
        while self.pieces and len(text) - len(self.pieces[-1]) >= min(hits):
            text = text[: len(text) - len(self.pieces.pop())]
            self.logprobs.pop()
            self.seconds.pop()
        if len(text) > min(hits):
            self.pieces[-1] = self.pieces[-1][: min(hits) - len(text)]
        del self.states[len(self.pieces) :]
        return True


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A completion of one prompt for each seed, or (`forced` set) one reading of a given text after it."""

    prompt: list[int]
    seeds: list[int]
    temperatures: list[float]
    top_p: float
    max_tokens: int
    stop: tuple[bytes, ...] = ()
    states: bool = False
    forced: list[int] | None = None
    abandoned: bool = False
    """Set from any thread once nobody waits for the answer: the decoder then drops the job."""
    done: Future[list[Choice]] = field(default_factory=Future)
    choices: list[Choice] = field(default_factory=list)
    waiting: deque[Choice] = field(default_factory=deque)
    sequence: int = -1
    logits: NDArray[np.float32] | None = None

    @property
    def answer_tokens(self) -> int:
        return self.max_tokens if self.forced is None else len(self.forced)
