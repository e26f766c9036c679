"""The bytes between host and guest: cut anywhere, and hostile."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.frames import MAX_HEADER, BrokenFrame, Demultiplexer, raw_of, request_frame, take_report
from sandbox.raw import Exit

FACTS = {
    "seq": 1, "exit": "exited", "exit_code": 0, "truncated": False, "wall_s": 0.5, "cpu_s": 0.25,
    "peak_memory_mb": 12.5, "leftover_processes": 1, "pids_hit": False,
}  # fmt: skip


def report(blobs: list[bytes], **changes: object) -> bytes:
    header = json.dumps(FACTS | {"sizes": [len(blob) for blob in blobs]} | changes).encode()
    return len(header).to_bytes(4, "big") + header + b"".join(blobs)


def mux(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8), st.integers(1, 17))
def test_demultiplexer_joins_what_was_cut_anywhere(parts: list[tuple[int, bytes]], step: int) -> None:
    wire = b"".join(mux(stream, data) for stream, data in parts)
    demultiplexer = Demultiplexer()
    for start in range(0, len(wire), step):
        demultiplexer.feed(wire[start : start + step])
    assert bytes(demultiplexer.stdout) == b"".join(data for stream, data in parts if stream == 1)
    assert bytes(demultiplexer.stderr) == b"".join(data for stream, data in parts if stream == 2)


@pytest.mark.parametrize("wire", [b"\x03\0\0\0\0\0\0\x01x", b"hello world", b"\x01\x01\0\0\0\0\0\x01x"])
def test_demultiplexer_refuses_what_docker_does_not_send(wire: bytes) -> None:
    with pytest.raises(BrokenFrame):
        Demultiplexer().feed(wire)


def test_diagnostics_are_bounded() -> None:
    demultiplexer = Demultiplexer()
    for _ in range(100):
        demultiplexer.feed(mux(2, b"x" * 1000))
    assert len(demultiplexer.stderr) < 10_000


def test_a_report_is_taken_whole_and_leaves_the_rest() -> None:
    wire = report([b"out", b"", b"\x00\xff"]) + b"next"
    buffer = bytearray()
    for index, byte in enumerate(wire):
        buffer.append(byte)
        if index < len(wire) - 5:
            assert take_report(buffer, 100) is None
        elif index == len(wire) - 5:
            taken = take_report(buffer, 100)
            assert taken is not None
            raw = raw_of(*taken)
    assert bytes(buffer) == b"next"
    assert (raw.stdout, raw.stderr, raw.result) == (b"out", b"", b"\x00\xff")
    assert (raw.exit, raw.exit_code, raw.wall_s, raw.leftover_processes) == (Exit.EXITED, 0, 0.5, 1)


def test_an_empty_result_channel_is_no_result() -> None:
    taken = take_report(bytearray(report([b"", b"", b""])), 100)
    assert taken is not None and raw_of(*taken).result is None


@pytest.mark.parametrize(
    "wire",
    [
        (MAX_HEADER + 1).to_bytes(4, "big"),
        b"\0\0\0\x02[]",
        b"\0\0\0\x03nan",
        report([b"x" * 101]),
        report([b"x"], sizes=[-1]),
        report([b"x"], sizes=[1.0]),
        report([b"x"], sizes=[True]),
        report([b"x"], sizes="x"),
        b"\0\0\x27\x10" + b"[" * 10_000,
    ],
)
def test_a_report_that_lies_is_broken(wire: bytes) -> None:
    with pytest.raises(BrokenFrame):
        take_report(bytearray(wire), 100)


@pytest.mark.parametrize(
    "changes", [{"exit": "won"}, {"wall_s": "soon"}, {"leftover_processes": None}, {"signal": "x"}]
)
def test_facts_of_the_wrong_type_are_broken(changes: dict[str, object]) -> None:
    with pytest.raises(BrokenFrame):
        raw_of(FACTS | changes, [b"", b"", b""])
    with pytest.raises(BrokenFrame):
        raw_of(FACTS, [b""])


def test_a_request_names_both_sizes() -> None:
    frame = request_frame({"seq": 1}, {"source": "é"})
    head, body = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
    assert json.loads(frame[8 : 8 + head]) == {"seq": 1}
    assert json.loads(frame[8 + head :]) == {"source": "é"} and len(frame) == 8 + head + body
