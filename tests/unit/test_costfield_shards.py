"""Shards: what is written is what is read, what is damaged is refused, what fails leaves the folder as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from costfield.data import Examples
from costfield.errors import DamagedShard, FingerprintMismatch, InvalidExamples
from costfield.shards import MANIFEST, append_shard, load_examples, read_manifest
from tests.support.labelled import FINGERPRINT, labelled


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(a: Examples, b: Examples) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name in ("scalars", "embeddings"))
        for name in ("embeddings", "scalars", "passed", "problem", "group", "weight", "index", "fault")
    )


def at_float16(examples: Examples) -> np.ndarray:
    return examples.embeddings.astype(np.float16).astype(np.float32)


def test_costfield_shards_give_back_what_was_written(tmp_path: Path) -> None:
    first, second = labelled(problems=3), labelled(problems=2, seed=1, problem=["q1"] * 6 + ["q2"] * 6)
    scalars = np.array(first.scalars)
    scalars[2, 0] = np.nan
    first = labelled(problems=3, scalars=scalars, embeddings=at_float16(first))
    append_shard(tmp_path, first)
    manifest = append_shard(tmp_path, second)
    assert (manifest.rows, [s.rows for s in manifest.shards]) == (30, [18, 12])
    read = load_examples(tmp_path, fingerprint_id=FINGERPRINT)
    assert same(read.take(np.arange(18)), first)
    assert np.isnan(read.scalars[2, 0])
    assert np.array_equal(read.take(np.arange(18, 30)).embeddings, at_float16(second))
    assert pq.ParquetFile(tmp_path / "shard-00000.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_costfield_shards_without_embeddings_index_or_faults(tmp_path: Path) -> None:
    bare = labelled(problems=2, dims=0, index=None, fault=None)
    append_shard(tmp_path, bare)
    read = load_examples(tmp_path)
    assert read.embeddings.shape == (12, 0)
    assert read.index is None
    assert read.fault is None
    assert np.array_equal(read.scalars, bare.scalars)


def test_costfield_truncated_altered_or_missing_shards_are_refused(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=3))
    shard = tmp_path / "shard-00000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    with pytest.raises(
        DamagedShard, match=f"{len(whole) - 100} bytes, the manifest says {len(whole)}: it is truncated"
    ):
        load_examples(tmp_path)
    shard.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    with pytest.raises(DamagedShard, match="does not match its sha256"):
        load_examples(tmp_path)
    shard.unlink()
    with pytest.raises(DamagedShard, match="listed in the manifest but missing"):
        load_examples(tmp_path)


def forge(folder: Path, table: pa.Table) -> None:
    """Replace the only shard by another table, with the manifest vouching for it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data = sink.getvalue().to_pybytes()
    (folder / "shard-00000.parquet").write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["shards"][0] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_costfield_shards_that_hold_nan_or_lack_columns_are_refused(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=2))
    table = pq.read_table(tmp_path / "shard-00000.parquet")
    forge(tmp_path, table.drop_columns(["passed"]))
    with pytest.raises(DamagedShard, match=r"not a shard of schema 2: .*passed"):
        load_examples(tmp_path)
    values = np.full(12 * 12, np.nan, np.float16)
    broken = pa.FixedSizeListArray.from_arrays(pa.array(values), 12)
    forge(tmp_path, table.set_column(table.column_names.index("embedding"), "embedding", broken))
    with pytest.raises(InvalidExamples, match="12 rows have a NaN or infinite embedding"):
        load_examples(tmp_path)


def test_costfield_shards_with_gaps_or_another_width_are_refused(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=2))
    table = pq.read_table(tmp_path / "shard-00000.parquet")
    for name in ("passed", "problem", "group", "embedding"):
        gap = pa.array([None, *table[name].to_pylist()[1:]], table[name].type)
        forge(tmp_path, table.set_column(table.column_names.index(name), name, gap))
        with pytest.raises(DamagedShard, match=f"without a value for {name}|not what the float16 codec writes"):
            load_examples(tmp_path)
    narrow = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(12 * 6, np.float16)), 6)
    forge(tmp_path, table.set_column(table.column_names.index("embedding"), "embedding", narrow))
    with pytest.raises(DamagedShard, match="not what the float16 codec writes for 12 dimensions"):
        load_examples(tmp_path)


def test_costfield_other_fingerprints_are_refused_when_read_and_when_added(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=2))
    before = contents(tmp_path)
    with pytest.raises(FingerprintMismatch, match="holds fingerprints 'fp1-test', but 'fp2' is asked for"):
        load_examples(tmp_path, fingerprint_id="fp2")
    with pytest.raises(FingerprintMismatch, match="'fp2' cannot be added"):
        append_shard(tmp_path, labelled(problems=2, fingerprint_id="fp2"))
    with pytest.raises(InvalidExamples, match="other columns"):
        append_shard(tmp_path, labelled(problems=2, dims=5))
    with pytest.raises(InvalidExamples, match="exceeds what float16 holds"):
        append_shard(tmp_path, labelled(problems=2, embeddings=np.full((12, 12), 1e6)))
    assert contents(tmp_path) == before


def test_costfield_a_pool_is_not_trained_on_and_not_added_to(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=2), purpose="evaluation")
    before = contents(tmp_path)
    assert read_manifest(tmp_path).purpose == "evaluation"
    assert len(load_examples(tmp_path)) == 12
    with pytest.raises(InvalidExamples, match="is an evaluation pool: its problems are kept for measuring"):
        load_examples(tmp_path, training=True)
    with pytest.raises(InvalidExamples, match="is for evaluation; rows for training need a folder of their own"):
        append_shard(tmp_path, labelled(problems=2, seed=1))
    assert contents(tmp_path) == before


def test_costfield_a_shard_that_is_carried_elsewhere_is_known_for_what_it_is(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=2), purpose="evaluation")
    written = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(written | {"purpose": "training"}))
    with pytest.raises(InvalidExamples, match="labelled for evaluation, its manifest says training"):
        load_examples(tmp_path, training=True)
    (tmp_path / MANIFEST).write_text(json.dumps(written | {"fingerprint_id": "fp2"}))
    with pytest.raises(FingerprintMismatch, match="'fp1-test', its manifest says 'fp2'"):
        load_examples(tmp_path)


def test_costfield_a_shard_that_was_never_listed_does_not_count(tmp_path: Path) -> None:
    append_shard(tmp_path, labelled(problems=2))
    manifest = (tmp_path / MANIFEST).read_bytes()
    append_shard(tmp_path, labelled(problems=2, seed=1))
    (tmp_path / MANIFEST).write_bytes(manifest)  # killed between the shard and the manifest
    assert len(load_examples(tmp_path)) == 12
    append_shard(tmp_path, labelled(problems=2, seed=2))
    assert len(load_examples(tmp_path)) == 24
    assert sorted(contents(tmp_path)) == [MANIFEST, "shard-00000.parquet", "shard-00001.parquet"]


def test_costfield_a_full_disk_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_shard(tmp_path, labelled(problems=2))
    before = contents(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_shard(tmp_path, labelled(problems=2, seed=1))
    assert contents(tmp_path) == before


def test_costfield_manifests_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidExamples, match="holds no labelled data"):
        load_examples(tmp_path)
    append_shard(tmp_path, labelled(problems=2))
    written = json.loads((tmp_path / MANIFEST).read_text())
    for change, says in (
        ({"schema_version": 3}, "schema_version: Input should be 1 or 2"),
        ({"codec": "int4"}, "codec: Input should be an object"),
        ({"codec": written["codec"] | {"version": 2}}, r"codec.version: Input should be 1"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"shards": []}, "lists no shards"),
    ):
        (tmp_path / MANIFEST).write_text(json.dumps(written | change))
        with pytest.raises(InvalidExamples, match=says):
            load_examples(tmp_path)
    assert read_manifest(tmp_path).shards == ()
