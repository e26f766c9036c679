"""Recorded completions of one prompt as a Parquet file: text, log-probabilities, states. Whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atlas.errors import ConfigError
from atlas.types import Completion, TokenLogprob

_SCHEMA = pa.schema(
    [
        ("text", pa.string()), ("finish_reason", pa.string()), ("seed", pa.int64()), ("temperature", pa.float64()),
        ("tokens", pa.list_(pa.binary())), ("logprobs", pa.list_(pa.float32())), ("seconds", pa.list_(pa.float32())),
        ("states", pa.binary()), ("width", pa.int32()),
    ]
)


def write_completions(path: Path, completions: Sequence[Completion], *, about: dict[str, str]) -> None:
    """Write `completions` to `path`, atomically. `about` goes into the file's metadata (model, prompt version, ...)."""
    table = pa.Table.from_pylist([_row(x) for x in completions], schema=_SCHEMA.with_metadata(about))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            pq.write_table(table, out, compression="zstd")
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # what a full disk cut short would keep it full


def read_completions(path: Path) -> tuple[list[Completion], dict[str, str]]:
    """The completions of `path` in the order they were written, and what was noted about them.

    Raises ConfigError where the file is damaged.
    """
    table = read_table(path)
    about = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items() if not k.startswith(b"ARROW")}
    return [_completion(row) for row in table.to_pylist()], about


def read_table(path: Path) -> pa.Table:
    """A Parquet file that was written whole. Raises ConfigError where it is not whole any more."""
    try:
        return pq.read_table(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise ConfigError(
            f"{path} is damaged: restore it, or delete it to have it made again by the run that it is of ({why})"
        ) from error


def _row(completion: Completion) -> dict[str, object]:
    tokens, states = completion.logprobs, completion.states
    return {
        "text": completion.text, "finish_reason": completion.finish_reason, "seed": completion.seed,
        "temperature": completion.temperature,
        "tokens": None if tokens is None else [t.token for t in tokens],
        "logprobs": None if tokens is None else [t.logprob for t in tokens],
        "seconds": None if tokens is None else [np.nan if t.second is None else t.second for t in tokens],
        "states": None if states is None else states.astype("<f2").tobytes(),
        "width": 0 if states is None else states.shape[1],
    }


def _completion(row: dict[str, object]) -> Completion:
    states = None
    if row["states"] is not None:
        states = np.frombuffer(row["states"], "<f2").reshape(-1, row["width"] or 1)  # type: ignore[call-overload]
    logprobs = None
    if row["tokens"] is not None:
        columns = zip(row["tokens"], row["logprobs"], row["seconds"], strict=True)  # type: ignore[call-overload]
        logprobs = tuple(
            TokenLogprob(token=t, logprob=own, second=None if np.isnan(other) else other) for t, own, other in columns
        )
    return Completion(
        text=row["text"], finish_reason=row["finish_reason"], seed=row["seed"],  # type: ignore[arg-type]
        temperature=row["temperature"], logprobs=logprobs, states=states,  # type: ignore[arg-type]
    )
