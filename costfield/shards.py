"""Labelled fingerprints on disk: a folder of Parquet shards and the manifest that vouches for them.

    manifest.json           schema, fingerprint id, columns, and for each shard its rows, bytes and sha256
    shard-00000.parquet     zstd; one row a candidate

A shard is written whole under another name, renamed, and only then listed in the manifest, which is replaced in one
step. Killed at any point, the folder holds exactly the shards that the manifest lists: nothing lost, nothing doubled.

A folder is for training, or it is a *pool*: problems kept for evaluation, which training refuses. The purpose and the
fingerprint id stand in each shard too, so that a shard that is carried into another folder is still known for what it
is.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from costfield.data import Examples, Floats, concat
from costfield.errors import DamagedShard, FingerprintMismatch, InvalidExamples

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SCALAR_PREFIX = "scalar."  # keeps feature names apart from the other columns
FLOAT16_MAX = float(np.finfo(np.float16).max)
Purpose = Literal["training", "evaluation"]


class Shard(BaseModel):
    """One Parquet file that the manifest vouches for."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a data folder holds. Shards are read in this order."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int
    fingerprint_id: str
    purpose: Purpose = "training"
    dims: int
    codec: str  # how embeddings are stored; "float16" is the only codec of schema 1
    scalar_names: tuple[str, ...]
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Labelled candidates in all shards."""
        return sum(shard.rows for shard in self.shards)


def append_shard(directory: Path, examples: Examples, *, purpose: Purpose = "training") -> Manifest:
    """Add `examples` to a data folder (made if absent) as one more shard, and return the new manifest.

    Raises `FingerprintMismatch` when the folder holds another kind of fingerprint, `InvalidExamples` when its columns
    or its purpose differ or an embedding does not fit float16. On any error the folder is as it was.
    """
    directory.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(directory) if (directory / MANIFEST).exists() else _empty_manifest(examples, purpose)
    _require_same_kind(manifest, examples, purpose, directory)
    name = f"shard-{len(manifest.shards):05d}.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(_to_table(examples, purpose), sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    replace_file(directory / name, data)
    shard = Shard(file=name, rows=len(examples), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    manifest = manifest.model_copy(update={"shards": (*manifest.shards, shard)})
    replace_file(directory / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
    return manifest


def load_examples(directory: Path, *, fingerprint_id: str | None = None, training: bool = False) -> Examples:
    """Read every shard of a data folder, checking each against the manifest.

    Raises `FingerprintMismatch` when `fingerprint_id` is given and the data holds another kind, `DamagedShard` for a
    missing, truncated or altered shard, `InvalidExamples` for anything that the data itself has wrong, and for a pool
    when it is asked for `training`.
    """
    manifest = read_manifest(directory)
    if training and manifest.purpose != "training":
        raise InvalidExamples(
            f"{directory} is an evaluation pool: its problems are kept for measuring, and a field trained on them "
            "could not be measured any more; train on problems labelled without --pool"
        )
    if fingerprint_id is not None and manifest.fingerprint_id != fingerprint_id:
        raise FingerprintMismatch(
            f"{directory} holds fingerprints {manifest.fingerprint_id!r}, but {fingerprint_id!r} is asked for; "
            "label the problems again with the model that will serve"
        )
    if not manifest.shards:
        raise InvalidExamples(f"{directory} lists no shards: nothing has been labelled yet")
    return concat([_read_shard(directory, manifest, shard) for shard in manifest.shards])


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a data folder. Raises `InvalidExamples` when there is none, or it is of another schema."""
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InvalidExamples(f"{directory} holds no labelled data: there is no {MANIFEST} in it") from None
    except ValidationError as error:
        raise InvalidExamples(f"{path} cannot be read as a manifest: {error.errors()[0]['msg']}") from error
    if manifest.schema_version != SCHEMA_VERSION or manifest.codec != "float16":
        raise InvalidExamples(
            f"{path} is schema {manifest.schema_version} with codec {manifest.codec!r}; "
            f"this version reads schema {SCHEMA_VERSION} with codec 'float16'"
        )
    return manifest


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: after a crash the file is either the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _empty_manifest(examples: Examples, purpose: Purpose) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        fingerprint_id=examples.fingerprint_id,
        purpose=purpose,
        dims=examples.dims,
        codec="float16",
        scalar_names=examples.scalar_names,
        shards=(),
    )


def _require_same_kind(manifest: Manifest, examples: Examples, purpose: Purpose, directory: Path) -> None:
    if manifest.purpose != purpose:
        raise InvalidExamples(f"{directory} is for {manifest.purpose}; rows for {purpose} need a folder of their own")
    if manifest.fingerprint_id != examples.fingerprint_id:
        raise FingerprintMismatch(
            f"{directory} holds fingerprints {manifest.fingerprint_id!r}; {examples.fingerprint_id!r} cannot be added"
        )
    if (manifest.dims, manifest.scalar_names) != (examples.dims, examples.scalar_names):
        raise InvalidExamples(f"{directory} has other columns than the rows to add, under the same fingerprint id")


def _to_table(examples: Examples, purpose: Purpose) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "problem": pa.array(examples.problem.tolist(), pa.string()),
        "group": pa.array(examples.group.tolist(), pa.string()),
        "passed": pa.array(examples.passed),
        "weight": pa.array(examples.weight),
    }
    if examples.index is not None:
        columns["index"] = pa.array(examples.index)
    if examples.fault is not None:
        columns["fault"] = pa.array(examples.fault.tolist(), pa.string())
    for name, values in zip(examples.scalar_names, examples.scalars.T, strict=True):
        columns[SCALAR_PREFIX + name] = pa.array(values, from_pandas=True)  # NaN becomes null: not available
    if examples.dims:
        if np.abs(examples.embeddings).max() > FLOAT16_MAX:
            raise InvalidExamples(f"an embedding exceeds what float16 holds ({FLOAT16_MAX:.0f}); scale the states down")
        flat = pa.array(examples.embeddings.astype(np.float16).ravel())
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, examples.dims)
    return pa.table(columns, metadata={"fingerprint_id": examples.fingerprint_id, "purpose": purpose})


def _read_shard(directory: Path, manifest: Manifest, shard: Shard) -> Examples:
    path = directory / shard.file
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedShard(f"{path} is listed in the manifest but missing; restore it or label again") from None
    if len(data) != shard.bytes:
        raise DamagedShard(f"{path} has {len(data)} bytes, the manifest says {shard.bytes}: it is truncated")
    if hashlib.sha256(data).hexdigest() != shard.sha256:
        raise DamagedShard(f"{path} does not match its sha256 in the manifest: it was altered after it was written")
    try:
        table = pq.read_table(pa.BufferReader(data))
        _require_vouched(table, manifest, path)
        return _from_table(table, manifest)
    except (pa.ArrowException, KeyError) as error:
        raise DamagedShard(f"{path} is not a shard of schema {SCHEMA_VERSION}: {error}") from error


def _require_vouched(table: pa.Table, manifest: Manifest, path: Path) -> None:
    """Raise where the shard itself says that it is of another kind. Older shards say nothing of themselves."""
    own = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    if (found := own.get("fingerprint_id", manifest.fingerprint_id)) != manifest.fingerprint_id:
        raise FingerprintMismatch(
            f"{path} holds fingerprints {found!r}, its manifest says {manifest.fingerprint_id!r}: two kinds of "
            "fingerprint cannot be mixed"
        )
    if (found := own.get("purpose", manifest.purpose)) != manifest.purpose:
        raise InvalidExamples(f"{path} was labelled for {found}, its manifest says {manifest.purpose}")


def _from_table(table: pa.Table, manifest: Manifest) -> Examples:
    n, columns = table.num_rows, set(table.column_names)
    embeddings = np.zeros((n, 0), np.float32)
    if manifest.dims:
        flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        embeddings = flat.astype(np.float32).reshape(n, manifest.dims)
    scalars = [_floats(table[SCALAR_PREFIX + name]) for name in manifest.scalar_names]
    return Examples.of(
        fingerprint_id=manifest.fingerprint_id,
        embeddings=embeddings,
        scalars=np.stack(scalars, axis=1) if scalars else np.zeros((n, 0), np.float32),
        scalar_names=manifest.scalar_names,
        passed=table["passed"].to_numpy(),
        problem=table["problem"].to_pylist(),
        group=table["group"].to_pylist(),
        weight=table["weight"].to_numpy(),
        index=table["index"].to_numpy() if "index" in columns else None,
        fault=table["fault"].to_pylist() if "fault" in columns else None,
    )


def _floats(column: pa.ChunkedArray) -> Floats:
    """(n,) float32 with null as NaN."""
    return np.asarray(column.to_numpy(), dtype=np.float32)
