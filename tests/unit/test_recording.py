"""Recorded completions come back as they were, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from atlas import recording
from atlas.recording import read_completions, write_completions
from atlas.types import Completion, TokenLogprob
from tests.support.domain import completion


def test_a_recording_gives_back_what_was_written(tmp_path: Path) -> None:
    half = TokenLogprob(token="é".encode()[:1], logprob=-0.5, second=None)
    made = [
        completion("x = 1\n", seed=7, temperature=0.8, finish_reason="length"),
        Completion(text="no log-probabilities", finish_reason="stop"),
        Completion(text="\ufffd", finish_reason="stop", logprobs=(half,), states=np.zeros((1, 3), np.float16)),
        Completion(text="", finish_reason="stop", logprobs=(), states=np.zeros((0, 3), np.float16)),
    ]
    path = tmp_path / "deep" / "one.parquet"
    write_completions(path, made, about={"model": "m", "prompt": "1"})
    found, about = read_completions(path)
    assert about == {"model": "m", "prompt": "1"}
    for a, b in zip(found, made, strict=True):
        assert (a.text, a.finish_reason, a.seed, a.temperature) == (b.text, b.finish_reason, b.seed, b.temperature)
        assert (a.logprobs is None) == (b.logprobs is None)
        for x, y in zip(a.logprobs or (), b.logprobs or (), strict=True):
            assert x.token == y.token and x.second == y.second and x.logprob == pytest.approx(y.logprob)
        assert (a.states is None) == (b.states is None)
        if a.states is not None and b.states is not None:
            assert a.states.shape[0] == b.states.shape[0] and a.states.dtype == np.float16
            np.testing.assert_array_equal(a.states.ravel(), b.states.ravel())


def test_a_write_that_fails_leaves_the_old_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.parquet"
    write_completions(path, [completion("old")], about={})

    def full(table: pa.Table, out: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording.pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_completions(path, [completion("new")], about={})
    assert [c.text for c in read_completions(path)[0]] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["one.parquet"]
