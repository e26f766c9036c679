"""A recording says again what was said, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas.errors import ConfigError, ModelUnavailable
from atlas.llm.client import OpenAIClient
from atlas.llm.replay import RecordingLLM, ReplayLLM
from atlas.protocols import LLM, ModelTooLong, Sampling
from atlas.types import Completion, Message
from tests.support.model_wire import ASK, Wire

pytestmark = pytest.mark.anyio

SAMPLING = Sampling(n=3, temperature=0.8, seed=5, max_tokens=30)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def open_fake(**habits: Any) -> OpenAIClient:
    return await Wire(**habits).open(states=bool(habits.get("states")))


def plain(completion: Completion) -> tuple[Any, ...]:
    states = None if completion.states is None else (completion.states.dtype, completion.states.tolist())
    return (
        completion.text,
        completion.finish_reason,
        completion.logprobs,
        states,
        completion.seed,
        completion.temperature,
    )


@pytest.mark.parametrize("habits", [{"states": True}, {"logprobs": "omit", "usage": "all"}])
async def test_what_was_recorded_is_said_again(tmp_path: Path, habits: dict[str, Any]) -> None:
    path = tmp_path / "said.jsonl"
    recorder = RecordingLLM(await open_fake(**habits), path)
    said, usage = await recorder.sample(ASK, SAMPLING)
    vectors = await recorder.embed(["a b", "word " * 500])
    await recorder.aclose()

    replay = ReplayLLM(path)
    assert isinstance(replay, LLM) and isinstance(recorder, LLM)
    assert replay.capabilities == recorder.capabilities
    again, usage_again = await replay.sample(ASK, SAMPLING)
    assert [plain(c) for c in again] == [plain(c) for c in said] and usage_again == usage
    long, short = await replay.embed(["word " * 500, "a b"])
    assert isinstance(short, np.ndarray) and isinstance(vectors[0], np.ndarray)
    assert np.array_equal(short, vectors[0]) and short.dtype == np.float32
    assert isinstance(long, ModelTooLong) and long == vectors[1]
    await replay.aclose()


async def test_readings_are_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    recorder = RecordingLLM(await open_fake(states=True, n_ctx=300), path)
    read, long = await recorder.read(ASK, "x = 1"), await recorder.read(ASK, "word " * 500)
    replay = ReplayLLM(path)
    again = await replay.read(ASK, "x = 1")
    assert isinstance(again, Completion) and isinstance(read, Completion) and plain(again) == plain(read)
    assert await replay.read(ASK, "word " * 500) == long and isinstance(long, ModelTooLong)
    with pytest.raises(ModelUnavailable, match="no reading of the answer that begins 'y = 2'"):
        await replay.read(ASK, "y = 2")


async def test_what_was_not_recorded_is_said_to_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    recorder = RecordingLLM(await open_fake(), path)
    await recorder.sample(ASK, SAMPLING)
    replay = ReplayLLM(path)
    with pytest.raises(ModelUnavailable, match=r"said\.jsonl has this prompt not at all"):
        await replay.sample([Message(role="user", content="Another")], SAMPLING)
    with pytest.raises(ModelUnavailable, match=r"only with Sampling\(n=3.*seed=5.*asked for was Sampling\(n=3.*seed=6"):
        await replay.sample(ASK, Sampling(n=3, temperature=0.8, seed=6, max_tokens=30))
    with pytest.raises(ModelUnavailable, match="no embedding of the text that begins 'a b'"):
        await replay.embed(["a b"])
    with pytest.raises(ConfigError, match="cannot read"):
        await replay.read(ASK, "x")


async def test_no_embeddings_then_none_now(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    RecordingLLM(await open_fake(embeddings="missing"), path)
    with pytest.raises(ConfigError, match="no embeddings"):
        await ReplayLLM(path).embed(["a"])


async def test_a_recording_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    await RecordingLLM(await open_fake(), path).sample(ASK, SAMPLING)
    later = Sampling(n=1, temperature=0.8, seed=9, max_tokens=30)
    await RecordingLLM(await open_fake(), path).sample(ASK, later)
    replay = ReplayLLM(path)
    assert len((await replay.sample(ASK, SAMPLING))[0]) == 3 and len((await replay.sample(ASK, later))[0]) == 1


async def test_two_models_in_one_recording_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    RecordingLLM(await open_fake(), path)
    RecordingLLM(await open_fake(model="another"), path)
    with pytest.raises(ConfigError, match="different models"):
        ReplayLLM(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "does not name the model"),
        ("nonsense\n", "Line 1 of"),
        ('{"kind":"sample"}\n', "Line 1 of"),
        ('{"kind":"dance"}\n', "Line 1 of"),
        ('{"kind":"model","format":2,"capabilities":{}}\n', "Line 1 of"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        ReplayLLM(path)


def test_a_missing_recording(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        ReplayLLM(tmp_path / "absent.jsonl")
