"""Twins: the same candidates read twice, in their own words and in others, kept where training finds them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from atlas.errors import ConfigError
from atlas.evals.label import label
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from atlas.evals.stages import Parts
from atlas.evals.twins import make_twins
from atlas.fingerprint import ModelFingerprinter
from atlas.protocols import ModelTooLong
from atlas.types import Completion, Message, TokenLogprob
from costfield.errors import FingerprintMismatch
from costfield.renaming import Twins
from tests.support.evals import CAPABILITIES, WIDTH, ScriptedLLM, config, parts, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def program(prompt: str, index: int) -> str:
    verdict = "right" if index % 2 or "function none" in prompt else "wrong"
    return f"# {verdict}\ndef f(n):\n    total = n + {index}\n    return total\n"


@dataclass(kw_only=True)
class ReadingLLM(ScriptedLLM):
    """Reads a text as tokens of four bytes, whose states are made of the text; remembers what it read."""

    def __post_init__(self) -> None:
        self.write = program
        self.texts: list[str] = []

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        self.texts.append(text)
        tokens = [text[i : i + 4].encode() for i in range(0, len(text), 4)]
        rng = np.random.default_rng(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16))
        return Completion(
            text=text, finish_reason="stop", states=rng.normal(size=(len(tokens), WIDTH)).astype(np.float16),
            logprobs=tuple(TokenLogprob(token=t, logprob=-float(rng.random()), second=-3.0) for t in tokens),
        )


async def labelled(folder: Path, llm: ScriptedLLM, *names: str) -> list[Problem]:
    problems = [problem(name) for name in names]
    made: Parts = replace(parts(folder, llm=llm), fingerprinter=ModelFingerprinter.best(llm))
    with Run.open(folder / "run", config()) as run:
        await label(run, problems, made, folder / "data")
    return problems


async def test_twins_are_the_candidates_of_mixed_problems_in_other_words(tmp_path: Path) -> None:
    llm = ReadingLLM()
    problems = await labelled(tmp_path, llm, "a", "b", "none")
    made = await make_twins(tmp_path / "data", problems, llm, ModelFingerprinter.best(llm), 5)
    twins = Twins.load(tmp_path / "data")
    assert made == 2 and twins is not None
    assert sorted(set(twins.written.problem.tolist())) == ["a", "b"]
    assert twins.written.passed.tolist() == twins.exchanged.passed.tolist() == [False, True] * 4
    assert not np.array_equal(twins.written.embeddings, twins.exchanged.embeddings)
    shapes = [one.column("same_shape").tolist() for one in (twins.written, twins.exchanged)]
    assert shapes[0] == shapes[1]
    assert len(llm.texts) == 16 and sum("total = n" in text for text in llm.texts) == 8
    assert all(text.startswith("```python\n# ") for text in llm.texts)


async def test_twins_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    llm = ReadingLLM()
    problems = await labelled(tmp_path, llm, "a", "b")
    fingerprinter = ModelFingerprinter.best(llm)
    assert await make_twins(tmp_path / "data", problems, llm, fingerprinter, 1) == 1
    assert await make_twins(tmp_path / "data", problems, llm, fingerprinter, 2) == 2
    assert await make_twins(tmp_path / "data", problems, llm, fingerprinter, 2) == 2
    assert len(llm.texts) == 16
    twins = Twins.load(tmp_path / "data")
    assert twins is not None and len(twins.written) == 8


async def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    llm = ReadingLLM()
    problems = await labelled(tmp_path, llm, "a")
    blind = ReadingLLM(capabilities=replace(CAPABILITIES, states=False))
    with pytest.raises(ConfigError, match="cannot read a given answer"):
        await make_twins(tmp_path / "data", problems, blind, ModelFingerprinter.best(blind), 5)
    other = ReadingLLM(capabilities=replace(CAPABILITIES, model="other"))
    with pytest.raises(FingerprintMismatch):
        await make_twins(tmp_path / "data", problems, other, ModelFingerprinter.best(other), 5)
    with pytest.raises(ConfigError, match="none of these problems"):
        await make_twins(tmp_path / "data", [problem("z")], llm, ModelFingerprinter.best(llm), 5)
    assert Twins.load(tmp_path / "data") is None
