"""Parts of the guest that can be looked at outside of a container."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sandbox.guest import cgroup, loader, supervisor, watch, wipe
from sandbox.raw import Exit, Raw
from sandbox.selftest import Probe, probes


def test_a_sink_keeps_head_and_tail_and_never_waits() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    sink = watch.Sink(read, 100)
    os.write(write, b"H" * 60 + b"m" * 1000 + b"T" * 60)
    sink.drain()  # the writer is still open
    os.close(write)
    assert sink.over
    assert sink.kept() == b"H" * 50 + b"\n[... 1020 bytes or more left out ...]\n" + b"T" * 50


def test_a_sink_within_its_cap_keeps_everything() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    sink = watch.Sink(read, 100)
    os.write(write, b"x" * 100)
    os.close(write)
    sink.drain()
    assert not sink.over and sink.kept() == b"x" * 100


def test_a_sink_stops_reading_soon_after_its_cap() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    sink = watch.Sink(read, 10)
    for _ in range(50):
        try:
            os.write(write, b"x" * 65536)
        except BlockingIOError:
            pass
        sink.pump()
        if sink.over:
            break
    sink.drain()
    os.close(write)
    assert len(sink.data) <= 10 + 3 * watch.READ_SIZE


def test_wiping_removes_whatever_a_program_can_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept", encoding="utf-8")
    place = tmp_path / "place"
    place.mkdir()
    deep = place
    for _ in range(150):
        deep = deep / ("d" * 20)
        deep.mkdir()
    (deep / "file").write_text("x", encoding="utf-8")
    (place / "link").symlink_to(outside)
    (place / "closed").mkdir()
    (place / "closed" / "inner").mkdir()
    (place / "closed" / "inner" / "file").write_text("x", encoding="utf-8")
    (place / "closed" / "inner").chmod(0)
    (place / "closed").chmod(0)
    os.mkfifo(place / "fifo")
    monkeypatch.setattr(wipe, "PLACES", (str(place),))
    monkeypatch.chdir(tmp_path)
    assert not wipe.is_clean()
    wipe.wipe()
    assert wipe.is_clean() and not list(place.iterdir())
    assert (outside / "kept").read_text(encoding="utf-8") == "kept"


def test_counters_that_are_missing_read_as_zero_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {name: ("/nonexistent", b"") for name in ("oom", "pids", "cpu")}
    monkeypatch.setattr(cgroup, "V1", nowhere)
    monkeypatch.setattr(cgroup, "V2", nowhere)
    counters = cgroup.Counters()
    assert sorted(counters.missing) == ["cpu", "oom", "pids"] and counters.read("oom") == 0


@pytest.mark.parametrize(
    ("version", "text", "key", "value"),
    [
        (1, b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", b"oom_kill", 3),
        (2, b"low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n", b"oom_kill", 1),
        (1, b"max 5\n", b"max", 5),
        (1, b"1234567890\n", b"", 1234567),
        (2, b"usage_usec 42\nuser_usec 40\n", b"usage_usec", 42),
        (2, b"nothing 1\n", b"max", 0),
    ],
)
def test_counters_of_both_cgroup_versions(
    version: int, text: bytes, key: bytes, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "counter"
    file.write_bytes(text)
    for name in ("V1", "V2"):
        monkeypatch.setattr(cgroup, name, {"it": (str(file), key)})
    assert cgroup.Counters().read("it") == value


def test_the_supervisor_refuses_to_empty_places_that_are_no_mounts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wipe, "OURS", (str(tmp_path),))
    with pytest.raises(SystemExit, match="must be mounts"):
        supervisor.main({})


def test_the_loader_reads_exactly_what_is_announced() -> None:
    read, write = os.pipe()
    boot = json.dumps({"modules": {}, "config": {}}).encode()
    os.write(write, boot + b"rest")
    os.close(write)
    assert loader.read_exactly(read, len(boot)) == boot and loader.read_exactly(read, 4) == b"rest"
    with pytest.raises(EOFError):
        loader.read_exactly(read, 1)
    os.close(read)


def test_a_probe_holds_only_where_its_program_says_so_or_its_limit_ended_it() -> None:
    said = Probe(name="x", source="")
    assert said.failure(Raw(exit=Exit.EXITED, stdout=b"held\n")) == ""
    assert "got through" in said.failure(Raw(exit=Exit.EXITED, stdout=b"got through\n"))
    assert "ended with oom" in said.failure(Raw(exit=Exit.OOM))
    ended = Probe(name="x", source="", ends=Exit.OOM)
    assert ended.failure(Raw(exit=Exit.OOM)) == "" and "not oom" in ended.failure(Raw(exit=Exit.EXITED, stdout=b"held"))
    full = Probe(name="x", source="", pids_hit=True)
    assert "never reached" in full.failure(Raw(exit=Exit.EXITED, stdout=b"held"))
    assert full.failure(Raw(exit=Exit.EXITED, stdout=b"held", pids_hit=True)) == ""


def test_gvisor_gets_the_same_probes() -> None:
    assert [probe.name for probe in probes()] == [probe.name for probe in probes(gvisor=True)]
    assert not any(probe.may_end_it for probe in probes())
