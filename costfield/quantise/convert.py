"""A store of labelled fingerprints, copied under another codec."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costfield.data import Examples
from costfield.errors import InvalidExamples
from costfield.quantise.quantiser import quantiser
from costfield.quantise.spec import CodecSpec
from costfield.shards import MANIFEST, Manifest, append_shard, read_manifest, read_shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A store as it was written, and what that cost, both as shares of energy: sums of squares over all rows."""

    manifest: Manifest
    lost: float  # error / embeddings
    lost_within: float  # error / differences between siblings, which are all that choosing among them can read


def convert(source: Path, target: Path, codec: CodecSpec) -> Converted:
    """Write the data folder `source` to `target` with its embeddings under `codec`, and read it back.

    Shards keep their order and their rows; other files, such as the programs' texts, are copied as they are. `target`
    appears whole or not at all. Raises `InvalidExamples` where it is there already, where the codec cannot hold the
    embeddings, and where `source` is quantised already and would lose twice; else what `load_examples` raises.
    """
    manifest = read_manifest(source)
    _require_convertible(source, manifest, target, codec)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    unfinished.mkdir()
    energies = np.zeros(3)
    try:
        for shard in manifest.shards:
            given = read_shard(source, manifest, shard)
            written = append_shard(unfinished, given, purpose=manifest.purpose, codec=codec)
            energies += _energies(given, read_shard(unfinished, written, written.shards[-1]))
        for path in source.iterdir():
            if path.is_file() and path.name != MANIFEST and not path.name.startswith((".", "shard-")):
                shutil.copyfile(path, unfinished / path.name)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # gone already where all went well
    error, whole, within = energies.tolist()
    return Converted(
        manifest=written, lost=error / whole if whole else 0.0, lost_within=error / within if within else 0.0
    )


def _require_convertible(source: Path, manifest: Manifest, target: Path, codec: CodecSpec) -> None:
    if target.exists():
        raise InvalidExamples(f"{target} is there already; choose another folder")
    if not manifest.shards:
        raise InvalidExamples(f"{source} lists no shards: nothing has been labelled yet")
    if not manifest.dims:
        raise InvalidExamples(f"{source} holds no embeddings; its scalars are stored as they are")
    if codec.name != "float":
        if manifest.codec.name != "float":
            raise InvalidExamples(f"{source} is {manifest.codec} already; start from the data that it was made of")
        quantiser(codec, manifest.dims)  # refuses what it cannot store before anything is written


def _energies(given: Examples, read: Examples) -> tuple[float, float, float]:
    """Sums of squares: of the error, of the embeddings, of their differences from the siblings' mean."""
    x, task = given.embeddings.astype(np.float64), given.codes()
    sums = np.zeros((int(task.max()) + 1, given.dims))
    np.add.at(sums, task, x)
    whole = np.square(x).sum()
    common = (np.square(sums).sum(axis=1) / np.bincount(task)).sum()
    return np.square(x - read.embeddings).sum(), whole, whole - common
