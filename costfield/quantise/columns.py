"""Embeddings as columns of a shard, and back.

    float     embedding: list of d float32 or float16
    any other embedding: the codec's bytes; scale: float32; in the file's metadata the shard's centre, d float16
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from costfield.data import Examples, Floats
from costfield.errors import DamagedShard, InvalidExamples
from costfield.quantise.draws import U64
from costfield.quantise.quantiser import Codes, quantiser
from costfield.quantise.spec import CodecSpec

Halves = npt.NDArray[np.float16]
EMBEDDING, SCALE, CENTRE = "embedding", "scale", "centre"
FLOAT16_MAX = float(np.finfo(np.float16).max)


def embedding_columns(examples: Examples, spec: CodecSpec) -> tuple[dict[str, pa.Array], dict[str, str]]:
    """The columns that hold the rows' embeddings, and what the file's metadata has to say of them.

    Raises `InvalidExamples` for embeddings that the codec cannot store.
    """
    if not examples.dims:
        return {}, {}
    if spec.name == "float":
        return {EMBEDDING: _floats(examples, spec)}, {}
    codes, centre = encoded(examples, spec)
    stored = pa.array([row.tobytes() for row in codes.code], pa.binary(codes.code.shape[1]))
    return {EMBEDDING: stored, SCALE: pa.array(codes.scale)}, {CENTRE: base64.b64encode(centre.tobytes()).decode()}


def read_embeddings(table: pa.Table, spec: CodecSpec, dims: int) -> Floats:
    """(n, d) float32. Raises `DamagedShard` where the columns are not what `spec` writes."""
    if not dims:
        return np.zeros((table.num_rows, 0), np.float32)
    if spec.name != "float":
        return quantiser(spec, dims).decode(read_codes(table, spec, dims))
    stored = table[EMBEDDING]
    if getattr(stored.type, "list_size", None) != dims or stored.null_count:
        raise DamagedShard(f"its columns are not what the {spec} codec writes for {dims} dimensions")
    flat = stored.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(table.num_rows, dims)


def inner_with(table: pa.Table, spec: CodecSpec, dims: int, queries: Floats) -> Floats:
    """(n, q) inner products of the rows' embeddings with (q, d), from the codes where there are codes."""
    if spec.name != "float":
        return quantiser(spec, dims).inner(read_codes(table, spec, dims), queries)
    return read_embeddings(table, spec, dims) @ queries.T


def read_codes(table: pa.Table, spec: CodecSpec, dims: int) -> Codes:
    """The codes as they are stored."""
    stored, width = table[EMBEDDING], quantiser(spec, dims).coder.width
    kept = base64.b64decode((table.schema.metadata or {}).get(CENTRE.encode(), b""))
    centre = np.frombuffer(kept, "<f2").astype(np.float32)
    if stored.type != pa.binary(width) or stored.null_count or centre.shape != (dims,):
        raise DamagedShard(f"its columns are not what the {spec} codec writes for {dims} dimensions")
    index = table["index"].to_pylist() if "index" in table.column_names else None
    return Codes(
        code=np.frombuffer(b"".join(stored.to_pylist()), np.uint8).reshape(table.num_rows, width),
        scale=np.asarray(table[SCALE].to_numpy(), np.float32),
        centre=centre,
        ids=row_ids(table["problem"].to_pylist(), index),
    )


def encoded(examples: Examples, spec: CodecSpec) -> tuple[Codes, Halves]:
    """The rows' embeddings as codes about a centre, and the centre as it is to be stored.

    It is their mean, rounded: any vector near the mean does, so long as reading adds the one that writing took away.
    """
    mean = examples.embeddings.mean(axis=0, dtype=np.float64)
    centre = np.clip(mean, -FLOAT16_MAX, FLOAT16_MAX).astype("<f2")
    index = None if examples.index is None else examples.index.tolist()
    ids = row_ids(examples.problem.tolist(), index)
    return quantiser(spec, examples.dims).encode(examples.embeddings, ids, centre.astype(np.float32)), centre


def as_stored(examples: Examples, spec: CodecSpec) -> Examples:
    """What a shard of these rows would give back under this codec."""
    if not examples.dims:
        return examples
    if spec.name == "float":
        flat = _floats(examples, spec).flatten().to_numpy(zero_copy_only=False)
        return replace(examples, embeddings=flat.astype(np.float32).reshape(examples.embeddings.shape))
    return replace(examples, embeddings=quantiser(spec, examples.dims).decode(encoded(examples, spec)[0]))


def row_ids(problem: Sequence[str], index: Sequence[int] | None) -> U64:
    """(n,) what names each row: its problem and place among the siblings; without places, its row in the shard."""
    names = zip(problem, range(len(problem)) if index is None else index, strict=True)
    digests = [hashlib.sha256(f"{name}\0{place}".encode()).digest()[:8] for name, place in names]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _floats(examples: Examples, spec: CodecSpec) -> pa.Array:
    kind: type[np.floating] = np.float32 if spec.bits == 32 else np.float16
    if kind is np.float16 and np.abs(examples.embeddings).max() > FLOAT16_MAX:
        raise InvalidExamples(f"an embedding exceeds what float16 holds ({FLOAT16_MAX:.0f}); scale the states down")
    return pa.FixedSizeListArray.from_arrays(pa.array(examples.embeddings.astype(kind).ravel()), examples.dims)
