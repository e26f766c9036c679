"""The bytes between host and guest: Docker's stream multiplexing, and our frames inside of it.

Pure: no sockets here. The guest is not trusted, so every size is checked before anything is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sandbox.raw import Exit, Raw

MAX_HEADER = 16 * 1024
STDOUT, STDERR = 1, 2
MAX_DIAGNOSTICS = 4096


class BrokenFrame(Exception):
    """The guest sent what its protocol does not allow. Its container cannot be trusted any more."""


def boot_frame(modules: dict[str, str], config: dict[str, Any]) -> bytes:
    """The first thing a guest is told: its own code and its settings."""
    data = json.dumps({"modules": modules, "config": config}).encode()
    return len(data).to_bytes(4, "big") + data


def request_frame(header: dict[str, Any], body: dict[str, Any]) -> bytes:
    """One step: a header for the supervisor, a body that only the forked child reads."""
    head, rest = json.dumps(header).encode(), json.dumps(body).encode()
    return b"".join((len(head).to_bytes(4, "big"), len(rest).to_bytes(4, "big"), head, rest))


@dataclass
class Demultiplexer:
    """Undoes Docker's stream format: 1 byte stream, 3 zeros, 4 bytes size, data; pieces may be cut anywhere."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    _pending: bytearray = field(default_factory=bytearray)
    _stream: int = 0
    _left: int = 0

    def feed(self, data: bytes) -> None:
        """Take in bytes from the socket; complete parts land in `stdout` and `stderr`.

        Raises:
            BrokenFrame: this is not Docker's format.
        """
        self._pending += data
        while self._pending:
            if not self._left:
                if len(self._pending) < 8:
                    return
                self._stream = self._pending[0]
                if self._stream not in (STDOUT, STDERR) or any(self._pending[1:4]):
                    raise BrokenFrame("the engine's stream is not multiplexed")
                self._left = int.from_bytes(self._pending[4:8], "big")
                del self._pending[:8]
            part = self._pending[: self._left]
            self._left -= len(part)
            del self._pending[: len(part)]
            if self._stream == STDOUT:
                self.stdout += part
            elif len(self.stderr) < MAX_DIAGNOSTICS:
                self.stderr += part


def take_report(buffer: bytearray, max_body: int) -> tuple[dict[str, Any], list[bytes]] | None:
    """Remove one complete report from the front of `buffer`; None where it is not complete yet.

    Raises:
        BrokenFrame: a size or a type is wrong, or the blobs are larger than `max_body` bytes together.
    """
    if len(buffer) < 4:
        return None
    size = int.from_bytes(buffer[:4], "big")
    if size > MAX_HEADER:
        raise BrokenFrame(f"header of {size} bytes")
    if len(buffer) < 4 + size:
        return None
    try:
        header = json.loads(buffer[4 : 4 + size])
        sizes = header["sizes"]
        valid = all(type(size) is int and size >= 0 for size in sizes) and sum(sizes) <= max_body
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BrokenFrame("header is not what it must be") from error
    if not valid:
        raise BrokenFrame(f"sizes {sizes}")
    end = 4 + size + sum(sizes)
    if len(buffer) < end:
        return None
    blobs, start = [], 4 + size
    for length in sizes:
        blobs.append(bytes(buffer[start : start + length]))
        start += length
    del buffer[:end]
    return header, blobs


def raw_of(header: dict[str, Any], blobs: list[bytes]) -> Raw:
    """A report as a `Raw`.

    Raises:
        BrokenFrame: a field is missing or has the wrong type.
    """
    try:
        stdout, stderr, result = blobs
        return Raw(
            exit=Exit(header["exit"]),
            exit_code=_optional_int(header.get("exit_code")),
            signal=_optional_int(header.get("signal")),
            result=result or None,
            stdout=stdout,
            stderr=stderr,
            truncated=bool(header["truncated"]),
            wall_s=float(header["wall_s"]),
            cpu_s=float(header["cpu_s"]),
            peak_memory_mb=float(header["peak_memory_mb"]),
            leftover_processes=int(header["leftover_processes"]),
            pids_hit=bool(header["pids_hit"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenFrame(f"report is not what it must be: {error!r}") from error


def _optional_int(value: object) -> int | None:
    return None if value is None else int(str(value))
