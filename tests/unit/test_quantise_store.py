"""Stores under each codec: read like any other, refused when damaged, and converted whole or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from atlas import console
from atlas.cli import app
from costfield.data import Examples
from costfield.errors import DamagedShard, FingerprintMismatch, InvalidExamples
from costfield.quantise.columns import as_stored
from costfield.quantise.convert import convert
from costfield.quantise.spec import CodecSpec
from costfield.shards import MANIFEST, append_shard, inner_products, load_examples, read_manifest
from tests.support.labelled import labelled

DIMS = 64
SPECS = [
    *(CodecSpec.of(bits, DIMS, seed=3) for bits in (32, 16, 8, 4, 3, 2, 1)),
    *(CodecSpec.of(4, DIMS, name=name) for name in ("eden", "product", "polar")),
    CodecSpec.of(8, DIMS, dither=True),
]
FOUR = CodecSpec.of(4, DIMS)


def examples(problems: int = 4, **columns: object) -> Examples:
    return labelled(problems=problems, dims=DIMS, **columns)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_quantised_stores_are_read_like_any_other(spec: CodecSpec, tmp_path: Path) -> None:
    first, second = examples(index=None), examples(2, seed=1, problem=["q1"] * 6 + ["q2"] * 6, index=None)
    append_shard(tmp_path, first, codec=spec)
    assert append_shard(tmp_path, second).codec == spec, "a folder's codec is that of its first shard"
    read = load_examples(tmp_path)
    expected = [as_stored(part, spec).embeddings for part in (first, second)]
    assert np.array_equal(read.embeddings, np.concatenate(expected))
    error = np.square(read.embeddings[:24] - first.embeddings).sum() / np.square(first.embeddings).sum()
    most = {32: 0, 16: 1e-6, 8: 1e-3, 4: 0.06, 3: 0.05, 2: 0.15, 1: 0.4}[spec.bits]
    assert error <= most and (error > 0) == (spec.bits < 32)
    assert np.array_equal(read.scalars[:24], first.scalars)
    assert read.problem.tolist() == [*first.problem, *second.problem]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_quantised_stores_give_inner_products_from_their_codes(spec: CodecSpec, tmp_path: Path) -> None:
    append_shard(tmp_path, examples(), codec=spec)
    append_shard(tmp_path, examples(2, problem=["q1"] * 6 + ["q2"] * 6), codec=spec)
    queries = np.random.default_rng(0).standard_normal((5, DIMS)).astype(np.float32)
    expected = load_examples(tmp_path).embeddings @ queries.T
    assert inner_products(tmp_path, queries) == pytest.approx(expected, rel=1e-4, abs=1e-3)
    with pytest.raises(ValueError, match=r"queries are \(5, 7\), but .* holds embeddings of 64 dimensions"):
        inner_products(tmp_path, queries[:, :7])


def test_dithered_stores_read_each_row_by_its_own_id(tmp_path: Path) -> None:
    """Rows in another order, with another row's dither, would be off by up to a step."""
    given, spec = examples(), CodecSpec.of(8, DIMS, dither=True)
    append_shard(tmp_path, given, codec=spec)
    read = load_examples(tmp_path).embeddings
    shuffled = as_stored(given.take(np.arange(len(given))[::-1]), spec).embeddings[::-1]
    assert read == pytest.approx(shuffled, abs=1e-5)
    assert np.square(read - given.embeddings).sum() / np.square(given.embeddings).sum() < 1e-3


def test_equal_siblings_stay_equal_when_quantised() -> None:
    given = examples()
    embeddings = np.array(given.embeddings)
    embeddings[1] = embeddings[0]
    read = as_stored(replace(given, embeddings=embeddings), FOUR).embeddings
    assert np.array_equal(read[0], read[1]) and not np.array_equal(read[0], read[2])


def test_stores_of_before_quantising_are_read_and_added_to(tmp_path: Path) -> None:
    append_shard(tmp_path, examples())
    written = json.loads((tmp_path / MANIFEST).read_text())
    before = load_examples(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(written | {"schema_version": 1, "codec": "float16"}))
    assert np.array_equal(load_examples(tmp_path).embeddings, before.embeddings)
    manifest = append_shard(tmp_path, examples(2, problem=["q1"] * 6 + ["q2"] * 6))
    assert (manifest.schema_version, str(manifest.codec), manifest.rows) == (2, "float16", 36)
    assert len(load_examples(tmp_path)) == 36


def test_a_quantised_store_takes_no_other_codec_and_no_vector_of_zeros(tmp_path: Path) -> None:
    append_shard(tmp_path, examples(), codec=FOUR)
    before = contents(tmp_path)
    with pytest.raises(InvalidExamples, match="keeps embeddings as scalar4/dense-0/v1; float16 needs a folder of its"):
        append_shard(tmp_path, examples(), codec=CodecSpec.of(16, DIMS))
    with pytest.raises(InvalidExamples, match="scalar4/dense-5/v1 needs a folder of its own"):
        append_shard(tmp_path, examples(), codec=CodecSpec.of(4, DIMS, seed=5))
    with pytest.raises(InvalidExamples, match="24 embeddings are zeros only"):
        append_shard(tmp_path, examples(embeddings=np.zeros((24, DIMS))))
    with pytest.raises(FingerprintMismatch, match="'fp2' cannot be added"):
        append_shard(tmp_path, examples(fingerprint_id="fp2"))
    assert contents(tmp_path) == before


def test_quantised_stores_of_another_codec_version_are_refused(tmp_path: Path) -> None:
    append_shard(tmp_path, examples(), codec=FOUR)
    written = json.loads((tmp_path / MANIFEST).read_text())
    for change, says in (
        ({"version": 2}, "codec.version: Input should be 1"),
        ({"bits": 5}, "codec: Value error, there is no scalar codec of 5 bits"),
        ({"seed": 1}, "keeps embeddings as scalar4/dense-0/v1, its manifest says scalar4/dense-1/v1"),
    ):
        (tmp_path / MANIFEST).write_text(json.dumps(written | {"codec": written["codec"] | change}))
        with pytest.raises(InvalidExamples, match=says):
            load_examples(tmp_path)


@pytest.mark.parametrize("read", [load_examples, lambda folder: inner_products(folder, np.zeros((1, DIMS)))])
def test_damaged_quantised_shards_are_refused(read: object, tmp_path: Path) -> None:
    assert callable(read)
    append_shard(tmp_path, examples(), codec=FOUR)
    shard = tmp_path / "shard-00000.parquet"
    whole, table = shard.read_bytes(), pq.read_table(shard)
    shard.write_bytes(whole[:-1])
    with pytest.raises(DamagedShard, match="it is truncated"):
        read(tmp_path)
    narrow = pa.array([b"abc"] * 24, pa.binary(3))
    for broken, says in (
        (table.drop_columns(["scale"]), "is not a shard of schema 2: .*scale"),
        (table.set_column(table.column_names.index("embedding"), "embedding", narrow), "are not what the scalar4"),
        (table.replace_schema_metadata({}), "are not what the scalar4/dense-0/v1 codec writes for 64 dimensions"),
    ):
        forge(tmp_path, broken)
        with pytest.raises(DamagedShard, match=says):
            read(tmp_path)


def forge(folder: Path, table: pa.Table) -> None:
    """Replace the only shard by another table, with the manifest vouching for it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data = sink.getvalue().to_pybytes()
    (folder / "shard-00000.parquet").write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["shards"][0] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


# ---- converting -----------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two shards of a pool, and a file that lies beside them."""
    folder = tmp_path / "in"
    append_shard(folder, examples(), purpose="evaluation")
    append_shard(folder, examples(2, problem=["q1"] * 6 + ["q2"] * 6), purpose="evaluation")
    (folder / "programs-00000.parquet").write_bytes(b"texts")
    (folder / "shard-00009.parquet").write_bytes(b"never listed")
    return folder


def test_quantising_a_store_keeps_everything_else(source: Path, tmp_path: Path) -> None:
    before = contents(source)
    made = convert(source, tmp_path / "new" / "out", FOUR)
    out = tmp_path / "new" / "out"
    assert sorted(contents(out)) == [MANIFEST, "programs-00000.parquet", "shard-00000.parquet", "shard-00001.parquet"]
    assert read_manifest(out) == made.manifest
    assert (made.manifest.codec, made.manifest.purpose, made.manifest.rows) == (FOUR, "evaluation", 36)
    given, read = load_examples(source), load_examples(out)
    lost = np.square(read.embeddings - given.embeddings).sum()
    assert made.lost == pytest.approx(lost / np.square(given.embeddings).sum(), rel=1e-4)
    centres = np.stack([given.embeddings[given.problem == p].mean(axis=0) for p in given.problem])
    assert made.lost_within == pytest.approx(lost / np.square(given.embeddings - centres).sum(), rel=1e-4)
    same = replace(read, embeddings=given.embeddings)
    assert same.digest() == given.digest(), "only the embeddings change"
    assert contents(source) == before


def test_a_quantised_store_becomes_floats_again_but_is_not_quantised_twice(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "four", FOUR)
    convert(tmp_path / "four", tmp_path / "floats", CodecSpec.of(32, DIMS))
    assert np.array_equal(load_examples(tmp_path / "floats").embeddings, load_examples(tmp_path / "four").embeddings)
    with pytest.raises(InvalidExamples, match="is scalar4/dense-0/v1 already; start from the data that it was made of"):
        convert(tmp_path / "four", tmp_path / "two", CodecSpec.of(2, DIMS))


def test_quantising_writes_nothing_where_anything_is_wrong(source: Path, tmp_path: Path) -> None:
    def refused(folder: Path, target: Path, says: str) -> None:
        before = contents(tmp_path)
        with pytest.raises(InvalidExamples, match=says):
            convert(folder, target, FOUR)
        assert contents(tmp_path) == before and not list(tmp_path.rglob("*.tmp"))

    (tmp_path / "full").mkdir()
    refused(source, tmp_path / "full", "is there already; choose another folder")
    refused(source, source, "is there already")
    refused(tmp_path / "nowhere", tmp_path / "out", "holds no labelled data")
    append_shard(tmp_path / "bare", labelled(problems=2, dims=0))
    refused(tmp_path / "bare", tmp_path / "out", "holds no embeddings")
    append_shard(tmp_path / "zeros", examples(embeddings=np.zeros((24, DIMS))))
    refused(tmp_path / "zeros", tmp_path / "out", "zeros only")
    last = source / "shard-00001.parquet"
    last.write_bytes(last.read_bytes()[:-1])
    refused(source, tmp_path / "out", "it is truncated")


def test_quantising_onto_a_full_disk_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        convert(source, tmp_path / "out", FOUR)
    assert contents(tmp_path) == before and not (tmp_path / "out").exists()


def test_the_command_that_quantises_a_store(source: Path, tmp_path: Path) -> None:
    def pack(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["costfield", "pack", str(source), *words])
        return done.exit_code, done.stdout, done.stderr

    code, out, err = pack(str(tmp_path / "out"), "--bits", "3", "--seed", "2", "--json")
    told = json.loads(out.splitlines()[-1])
    assert code == 0 and told["codec"] == "scalar3/dense-2/v1" and told["rows"] == 36
    assert 0 < told["lost"] < told["lost_within"] < 0.1
    assert told["bytes"] == sum(shard.bytes for shard in read_manifest(tmp_path / "out").shards)
    assert "36 rows in" in err
    assert pack(str(tmp_path / "out"))[0] == console.CONFIG, "it is there already"
    for words in (("--bits", "5"), ("--bits", "0"), ("--codec", "nf4"), ("--bits", "2", "--dither")):
        code, _, err = pack(str(tmp_path / "none"), *words)
        assert code == console.USAGE and "Traceback" not in err and not (tmp_path / "none").exists()
