"""One stage's rows for one problem as a Parquet file, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from atlas.recording import read_table
from costfield.shards import replace_file


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema, *, about: dict[str, Any]) -> None:
    """Write `rows` to `path` in one step. `about` goes into the file's metadata as JSON."""
    noted = schema.with_metadata({"atlas": json.dumps(about, sort_keys=True)})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=noted), sink, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, sink.getvalue().to_pybytes())


def read_rows(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of `path` and what was noted about them; nothing at all where there is no such file.

    Raises ConfigError where the file is damaged.
    """
    if not path.exists():
        return [], {}
    table = read_table(path)
    noted = (table.schema.metadata or {}).get(b"atlas", b"{}")
    return table.to_pylist(), json.loads(noted)
