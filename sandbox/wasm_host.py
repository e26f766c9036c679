"""What a WebAssembly instance may ask of its host: WASI preview 1, as much of it as Python needs.

Record layouts are those of WebAssembly/WASI, preview1/witx/typenames.witx. The functions act on the instance of the
calling thread. None of them raises: wasmtime-py hands an exception of one thread's host function to whichever thread
looks first.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import wasmtime

WASI = "wasi_snapshot_preview1"
EBADF, EFAULT = 8, 21
CHUNK = 65_536


class Host(Protocol):
    """The instance, as these functions see it."""

    random_bytes: Callable[[int], bytes]

    def read(self, size: int) -> bytes:
        """At most `size` bytes of input; none at its end."""
        ...

    def write(self, fd: int, data: bytes) -> None:
        """Take output of descriptor 0, 1 or 2."""
        ...

    def limit(self, fd: int) -> int:
        """How many bytes are taken from a descriptor."""
        ...

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the instance's end."""
        ...


current = threading.local()
"""`current.instance` is the Host whose program runs in this thread."""


def define_host(linker: wasmtime.Linker) -> None:
    """Put these implementations in place of wasmtime's; the rest (clock, arguments, exit) stays."""
    linker.define_wasi()
    linker.allow_shadowing = True
    i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
    for name, function, parameters in (
        ("fd_read", _fd_read, [i32] * 4),
        ("fd_write", _fd_write, [i32] * 4),
        ("poll_oneoff", _poll_oneoff, [i32] * 4),
        ("random_get", _random_get, [i32] * 2),
        ("fd_pread", _refuse, [i32, i32, i32, i64, i32]),
        ("fd_pwrite", _refuse, [i32, i32, i32, i64, i32]),
    ):
        kind = wasmtime.FuncType(parameters, [i32])
        linker.define_func(WASI, name, kind, _guarded(function), access_caller=True)


def _guarded(function: Callable[..., int]) -> Callable[..., int]:
    def call(caller: wasmtime.Caller, *values: int) -> int:
        try:
            return function(_Memory(caller), *values)
        except Exception:  # noqa: BLE001 - a bad address of the guest; see above
            return EFAULT

    return call


class _Memory:
    """The memory of the calling instance. Addresses are the guest's and may be anything."""

    def __init__(self, caller: wasmtime.Caller) -> None:
        self.caller = caller
        self.memory: Any = caller["memory"]

    def read(self, address: int, size: int) -> bytes:
        address &= 0xFFFFFFFF
        found = bytes(self.memory.read(self.caller, address, address + size))
        if len(found) != size:
            raise IndexError(address)
        return found

    def write(self, address: int, data: bytes) -> None:
        self.memory.write(self.caller, data, address & 0xFFFFFFFF)

    def vectors(self, address: int, count: int) -> list[tuple[int, int]]:
        if not 0 <= count <= 1_024:
            raise IndexError(count)
        numbers = struct.unpack(f"<{2 * count}I", self.read(address, 8 * count))
        return list(zip(numbers[::2], numbers[1::2], strict=True))


def _fd_read(memory: _Memory, fd: int, vectors: int, count: int, size_at: int) -> int:
    if fd != 0:
        return EBADF
    size = 0
    for address, room in memory.vectors(vectors, count):
        data = current.instance.read(room)
        memory.write(address, data)
        size += len(data)
        if len(data) < room:
            break
    memory.write(size_at, struct.pack("<I", size))
    return 0


def _fd_write(memory: _Memory, fd: int, vectors: int, count: int, size_at: int) -> int:
    if fd not in (0, 1, 2):
        return EBADF
    size = 0
    for address, length in memory.vectors(vectors, count):
        instance = current.instance
        instance.write(fd, memory.read(address, min(length, instance.limit(fd) + 1)))
        size += length
    memory.write(size_at, struct.pack("<I", size))
    return 0


def _poll_oneoff(memory: _Memory, subscriptions: int, events: int, count: int, count_at: int) -> int:
    """Waits for the earliest clock among the subscriptions; descriptors are always ready."""
    if not 0 < count <= 64:
        return EFAULT
    waits: list[tuple[float, int, int]] = []
    for index in range(count):
        data = memory.read(subscriptions + 48 * index, 48)
        user, tag = struct.unpack_from("<QB", data)
        seconds = 0.0
        if tag == 0:
            clock, nanoseconds, _, flags = struct.unpack_from("<I4xQQH", data, 16)
            now = time.time() if clock == 0 else 0.0
            seconds = nanoseconds / 1e9 - (now if flags & 1 else 0.0)
        waits.append((seconds, user, tag))
    first = min(seconds for seconds, _, _ in waits)
    current.instance.sleep(first)
    ready = [(user, tag) for seconds, user, tag in waits if seconds <= first]
    for index, (user, tag) in enumerate(ready):
        memory.write(events + 32 * index, struct.pack("<QHB21x", user, 0, tag))
    memory.write(count_at, struct.pack("<I", len(ready)))
    return 0


def _random_get(memory: _Memory, address: int, size: int) -> int:
    address, size = address & 0xFFFFFFFF, size & 0xFFFFFFFF
    for at in range(0, size, CHUNK):
        memory.write(address + at, current.instance.random_bytes(min(CHUNK, size - at)))
    return 0


def _refuse(memory: _Memory, *values: int) -> int:
    return EBADF
