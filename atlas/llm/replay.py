"""Recorded answers: write down what a model said, and say it again without the model.

One JSON line per call, so that a recording is read with a text editor, cut with `head` and joined with `cat`. A replay
knows exactly the calls that were recorded: another prompt, seed or n is an error that says so, never a guess.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from atlas.errors import ConfigError, ModelUnavailable
from atlas.protocols import LLM, Capabilities, ModelTooLong, Sampling
from atlas.types import Completion, Message, TokenLogprob, Usage
from sandbox.types import Frozen


class ModelLine(Frozen):
    """First line of a recording: which model spoke, and what its server could do."""

    kind: Literal["model"] = "model"
    format: Literal[1] = 1
    capabilities: Capabilities


class RecordedCompletion(Frozen):
    """One completion. Tokens as (base64 of the bytes, log-probability, the runner-up's); states as base64 of <f2."""

    text: str
    finish_reason: str
    seed: int | None
    temperature: float | None
    tokens: tuple[tuple[str, float, float | None], ...] | None
    states: str | None
    width: int = 0


class SampleLine(Frozen):
    """One call of `sample`."""

    kind: Literal["sample"] = "sample"
    prompt: str = Field(description="SHA-256 of the messages.")
    sampling: Sampling
    completions: tuple[RecordedCompletion, ...]
    prompt_tokens: int
    completion_tokens: int


class ReadLine(Frozen):
    """One call of `read`."""

    kind: Literal["read"] = "read"
    prompt: str
    text: str = Field(description="SHA-256 of the text.")
    completion: RecordedCompletion | None
    too_long: str | None


class EmbedLine(Frozen):
    """One text of a call of `embed`: its vector as base64 of <f4, or why there is none."""

    kind: Literal["embed"] = "embed"
    text: str = Field(description="SHA-256 of the text.")
    vector: str | None
    too_long: str | None


Line = ModelLine | SampleLine | ReadLine | EmbedLine
_LINES: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


class ReplayLLM:
    """An `LLM` that answers from a recording. Raises ConfigError where the file is missing or is not one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples: dict[tuple[str, Sampling], SampleLine] = {}
        self._vectors: dict[str, EmbedLine] = {}
        self._readings: dict[tuple[str, str], ReadLine] = {}
        capabilities: Capabilities | None = None
        for line in _read(path):
            if isinstance(line, ModelLine):
                if capabilities is not None and line.capabilities != capabilities:
                    raise ConfigError(f"{path} mixes recordings of different models. Keep one file for each.")
                capabilities = line.capabilities
            elif isinstance(line, SampleLine):
                self._samples[line.prompt, line.sampling] = line
            elif isinstance(line, ReadLine):
                self._readings[line.prompt, line.text] = line
            else:
                self._vectors[line.text] = line
        if capabilities is None:
            raise ConfigError(
                f"{path} does not name the model that was recorded: it is empty or its start was cut off."
            )
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        """What was recorded for just this call. Raises ModelUnavailable where nothing was."""
        prompt = _digest_messages(messages)
        line = self._samples.get((prompt, sampling))
        if line is None:
            others = [s for p, s in self._samples if p == prompt]
            known = f"only with {', '.join(map(str, others[:3]))}" if others else "not at all"
            raise ModelUnavailable(f"{self._path} has this prompt {known}; asked for was {sampling}. Record it first.")
        usage = Usage(prompt_tokens=line.prompt_tokens, completion_tokens=line.completion_tokens)
        return [_completion(recorded) for recorded in line.completions], usage

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        """The recorded vectors. Raises ModelUnavailable where one is missing, ConfigError where the model had none."""
        if not self._capabilities.embeddings:
            raise ConfigError(f"The model recorded in {self._path} gives no embeddings.")
        return tuple(self._vector(text) for text in texts)

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        """The recorded reading. Raises ModelUnavailable where it is missing, ConfigError where the model had none."""
        if not self._capabilities.states:
            raise ConfigError(f"The model recorded in {self._path} cannot read a given answer.")
        line = self._readings.get((_digest_messages(messages), _digest(text)))
        if line is None:
            raise ModelUnavailable(
                f"{self._path} has no reading of the answer that begins {text[:60]!r}. Record it first."
            )
        return _completion(line.completion) if line.completion else ModelTooLong(message=line.too_long or "")

    async def aclose(self) -> None:
        """Nothing to close: the recording was read whole."""

    def _vector(self, text: str) -> NDArray[np.float32] | ModelTooLong:
        line = self._vectors.get(_digest(text))
        if line is None:
            raise ModelUnavailable(
                f"{self._path} has no embedding of the text that begins {text[:60]!r}. Record it first."
            )
        if line.vector is None:
            return ModelTooLong(message=line.too_long or "")
        return np.frombuffer(base64.b64decode(line.vector), dtype="<f4").astype(np.float32)


class RecordingLLM:
    """An `LLM` that passes everything on to another one and appends what it says to a file."""

    def __init__(self, llm: LLM, path: Path) -> None:
        self._llm = llm
        self._path = path
        self._append(ModelLine(capabilities=llm.capabilities))

    @property
    def capabilities(self) -> Capabilities:
        return self._llm.capabilities

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        """As the wrapped model's; recorded once it has answered."""
        completions, usage = await self._llm.sample(messages, sampling)
        self._append(
            SampleLine(
                prompt=_digest_messages(messages),
                sampling=sampling,
                completions=tuple(_recorded(completion) for completion in completions),
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
            )
        )
        return completions, usage

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        """As the wrapped model's; recorded once it has answered."""
        vectors = await self._llm.embed(texts)
        for text, vector in zip(texts, vectors, strict=True):
            if isinstance(vector, ModelTooLong):
                self._append(EmbedLine(text=_digest(text), vector=None, too_long=vector.message))
            else:
                packed = base64.b64encode(vector.astype("<f4").tobytes()).decode()
                self._append(EmbedLine(text=_digest(text), vector=packed, too_long=None))
        return vectors

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        """As the wrapped model's; recorded once it has answered."""
        reading = await self._llm.read(messages, text)
        known = None if isinstance(reading, ModelTooLong) else _recorded(reading)
        too_long = reading.message if isinstance(reading, ModelTooLong) else None
        self._append(
            ReadLine(prompt=_digest_messages(messages), text=_digest(text), completion=known, too_long=too_long)
        )
        return reading

    async def aclose(self) -> None:
        await self._llm.aclose()

    def _append(self, line: Line) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")


def _read(path: Path) -> list[Line]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"The recording {path} cannot be read: {error.strerror}.") from None
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            lines.append(_LINES.validate_json(line))
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_input=False)[0]
            raise ConfigError(f"Line {number} of {path} is not a record ({first['msg']}). Delete it.") from None
    return lines


def _recorded(completion: Completion) -> RecordedCompletion:
    tokens, states = completion.logprobs, completion.states
    return RecordedCompletion(
        text=completion.text,
        finish_reason=completion.finish_reason,
        seed=completion.seed,
        temperature=completion.temperature,
        tokens=None
        if tokens is None
        else tuple((base64.b64encode(t.token).decode(), t.logprob, t.second) for t in tokens),
        states=None if states is None else base64.b64encode(states.astype("<f2").tobytes()).decode(),
        width=0 if states is None else states.shape[1],
    )


def _completion(recorded: RecordedCompletion) -> Completion:
    tokens, states = None, None
    if recorded.tokens is not None:
        tokens = tuple(TokenLogprob(token=base64.b64decode(t), logprob=p, second=s) for t, p, s in recorded.tokens)
    if recorded.states is not None:
        flat = np.frombuffer(base64.b64decode(recorded.states), dtype="<f2").astype(np.float16)
        states = flat.reshape(flat.size // max(recorded.width, 1), recorded.width)
    return Completion(
        text=recorded.text,
        finish_reason=recorded.finish_reason,
        logprobs=tokens,
        states=states,
        seed=recorded.seed,
        temperature=recorded.temperature,
    )


def _digest_messages(messages: Sequence[Message]) -> str:
    return _digest(json.dumps([[m.role, m.content] for m in messages], separators=(",", ":")))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
