"""Labelled fingerprints on disk: a folder of Parquet shards and the manifest that vouches for them.

    manifest.json           schema, fingerprint id, codec, columns, and for each shard its rows, bytes and sha256
    shard-00000.parquet     zstd; one row a candidate

A shard is written whole under another name, renamed, and only then listed in the manifest, which is replaced in one
step. Killed at any point, the folder holds exactly the shards that the manifest lists: nothing lost, nothing doubled.

A folder is for training, or it is a *pool*: problems kept for evaluation, which training refuses. The purpose, the
codec and the fingerprint id stand in each shard too, so that a shard that is carried into another folder is still known
for what it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from costfield.data import Examples, Floats, concat
from costfield.errors import DamagedShard, FingerprintMismatch, InvalidExamples
from costfield.quantise.columns import embedding_columns, inner_with, read_embeddings
from costfield.quantise.spec import FLOAT16, CodecSpec

SCHEMA_VERSION: Literal[2] = 2  # 1 knew one codec, and named it "float16"
MANIFEST = "manifest.json"
SCALAR_PREFIX = "scalar."  # keeps feature names apart from the other columns
Purpose = Literal["training", "evaluation"]
Read = TypeVar("Read")


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
    schema_version: Literal[1, 2]
    fingerprint_id: str
    purpose: Purpose = "training"
    dims: int
    codec: CodecSpec  # how embeddings are stored
    scalar_names: tuple[str, ...]
    shards: tuple[Shard, ...]

    @field_validator("codec", mode="before")
    @classmethod
    def _of_schema_1(cls, codec: object) -> object:
        return FLOAT16 if codec == "float16" else codec

    @property
    def rows(self) -> int:
        """Labelled candidates in all shards."""
        return sum(shard.rows for shard in self.shards)


def append_shard(
    directory: Path, examples: Examples, *, purpose: Purpose = "training", codec: CodecSpec | None = None
) -> Manifest:
    """Add `examples` to a data folder (made if absent) as one more shard, and return the new manifest.

    `codec` None is the folder's own, and float16 for a new one. Raises `FingerprintMismatch` when the folder holds
    another kind of fingerprint, `InvalidExamples` when its columns, its purpose or its codec differ or the codec
    cannot hold an embedding. On any error the folder is as it was.
    """
    directory.mkdir(parents=True, exist_ok=True)
    new = not (directory / MANIFEST).exists()
    manifest = _empty_manifest(examples, purpose, codec or FLOAT16) if new else read_manifest(directory)
    _require_same_kind(manifest, examples, purpose, codec or manifest.codec, directory)
    name = f"shard-{len(manifest.shards):05d}.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(_to_table(examples, manifest), sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    replace_file(directory / name, data)
    shard = Shard(file=name, rows=len(examples), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    manifest = manifest.model_copy(update={"schema_version": SCHEMA_VERSION, "shards": (*manifest.shards, shard)})
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
    return concat([read_shard(directory, manifest, shard) for shard in manifest.shards])


def families_in(directory: Path) -> dict[str, str]:
    """The family (near-duplicate group) of every problem in a data folder. Raises as `load_examples` does."""
    manifest = read_manifest(directory)

    def pairs(table: pa.Table, manifest: Manifest) -> dict[str, str]:
        return dict(zip(table["problem"].to_pylist(), table["group"].to_pylist(), strict=True))

    found: dict[str, str] = {}
    for shard in manifest.shards:
        found |= _read(directory, manifest, shard, pairs)
    return found


def inner_products(directory: Path, queries: Floats) -> Floats:
    """(q, d) -> (n, q): inner products with every stored embedding, in the order of `load_examples`.

    Read off the codes, without turning them back into embeddings. Raises as `load_examples` does, and ValueError for
    queries of another width.
    """
    manifest = read_manifest(directory)
    if queries.ndim != 2 or queries.shape[1] != manifest.dims:
        raise ValueError(f"queries are {queries.shape}, but {directory} holds embeddings of {manifest.dims} dimensions")

    def products(table: pa.Table, manifest: Manifest) -> Floats:
        return inner_with(table, manifest.codec, manifest.dims, queries)

    parts = [_read(directory, manifest, shard, products) for shard in manifest.shards]
    return np.concatenate([np.zeros((0, len(queries)), np.float32), *parts])


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a data folder. Raises `InvalidExamples` when there is none, or it is of another schema."""
    path = directory / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InvalidExamples(f"{directory} holds no labelled data: there is no {MANIFEST} in it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise InvalidExamples(f"{path} is no manifest that this version reads: {where}: {first['msg']}") from error


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


def _empty_manifest(examples: Examples, purpose: Purpose, codec: CodecSpec) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        fingerprint_id=examples.fingerprint_id,
        purpose=purpose,
        dims=examples.dims,
        codec=codec,
        scalar_names=examples.scalar_names,
        shards=(),
    )


def _require_same_kind(
    manifest: Manifest, examples: Examples, purpose: Purpose, codec: CodecSpec, directory: Path
) -> None:
    if manifest.purpose != purpose:
        raise InvalidExamples(f"{directory} is for {manifest.purpose}; rows for {purpose} need a folder of their own")
    if manifest.fingerprint_id != examples.fingerprint_id:
        raise FingerprintMismatch(
            f"{directory} holds fingerprints {manifest.fingerprint_id!r}; {examples.fingerprint_id!r} cannot be added"
        )
    if (manifest.dims, manifest.scalar_names) != (examples.dims, examples.scalar_names):
        raise InvalidExamples(f"{directory} has other columns than the rows to add, under the same fingerprint id")
    if manifest.codec != codec:
        raise InvalidExamples(f"{directory} keeps embeddings as {manifest.codec}; {codec} needs a folder of its own")


def _to_table(examples: Examples, manifest: Manifest) -> pa.Table:
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
    stored, noted = embedding_columns(examples, manifest.codec)
    noted |= {"fingerprint_id": manifest.fingerprint_id, "purpose": manifest.purpose, "codec": str(manifest.codec)}
    return pa.table(columns | stored, metadata=noted)


def read_shard(directory: Path, manifest: Manifest, shard: Shard) -> Examples:
    """One shard of those that `manifest` lists. Raises as `load_examples` does."""
    return _read(directory, manifest, shard, _from_table)


def _read(directory: Path, manifest: Manifest, shard: Shard, use: Callable[[pa.Table, Manifest], Read]) -> Read:
    """What `use` makes of a shard's table, once the shard is proved to be the one that was written."""
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
        return use(table, manifest)
    except (pa.ArrowException, KeyError) as error:
        raise DamagedShard(f"{path} is not a shard of schema {manifest.schema_version}: {error}") from error


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
    if (found := own.get("codec", str(manifest.codec))) != str(manifest.codec):
        raise DamagedShard(f"{path} keeps embeddings as {found}, its manifest says {manifest.codec}")


def _from_table(table: pa.Table, manifest: Manifest) -> Examples:
    n, columns = table.num_rows, set(table.column_names)
    if gaps := [name for name in ("passed", "problem", "group") if table[name].null_count]:
        raise DamagedShard(f"a shard has rows without a value for {' and '.join(gaps)}")
    scalars = [_floats(table[SCALAR_PREFIX + name]) for name in manifest.scalar_names]
    return Examples.of(
        fingerprint_id=manifest.fingerprint_id,
        embeddings=read_embeddings(table, manifest.codec, manifest.dims),
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
