"""The only files that a WebAssembly instance can see: Python's standard library, read-only and in memory.

CPython's own copy lies inside the runtime as a zip archive, and reading that archive's directory takes most of the time
of a start. So its content is offered here as the directory /lib, through the calls of WASI preview 1 (record layouts:
WebAssembly/WASI, preview1/witx/typenames.witx). There is no way from here to the host's files.
"""

from __future__ import annotations

import io
import struct
import threading
import zipfile
from dataclasses import dataclass
from typing import Protocol

ROOT = "/lib"
ROOT_FD = 3
MAX_OPEN = 64
EBADF, EINVAL, EMFILE, ENOENT, ENOTDIR, EROFS = 8, 28, 33, 44, 54, 69
DEVICE, FOLDER, FILE = 2, 3, 4
CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
ALL_RIGHTS = (1 << 64) - 1


class Memory(Protocol):
    """The memory of the instance that calls."""

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...

    def vectors(self, address: int, count: int) -> list[tuple[int, int]]: ...


class Library:
    """The standard library: paths relative to /lib. Shared by all instances; none can change it."""

    def __init__(self, archive: bytes) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(archive))
        self._lock = threading.Lock()
        self._contents: dict[str, bytes] = {}
        self.sizes = {info.filename: info.file_size for info in self._archive.infolist() if not info.is_dir()}
        self.folders: dict[str, dict[str, int]] = {"": {}}
        for path in self.sizes:
            parts = path.split("/")
            for depth, part in enumerate(parts):
                kind = FILE if depth == len(parts) - 1 else FOLDER
                self.folders.setdefault("/".join(parts[:depth]), {})[part] = kind

    def kind(self, path: str) -> int:
        """FILE, FOLDER, or 0 where there is nothing."""
        return FILE if path in self.sizes else FOLDER if path in self.folders else 0

    def content(self, path: str) -> bytes:
        """A file's bytes, unpacked when they are first asked for."""
        with self._lock:
            if path not in self._contents:
                self._contents[path] = self._archive.read(path)
            return self._contents[path]


@dataclass
class Opened:
    """An open descriptor: where it is, and how far it has been read."""

    path: str
    at: int = 0


class Files:
    """The descriptors of one instance. Every method is a WASI call and returns its error number, 0 for none."""

    def __init__(self, library: Library | None) -> None:
        self.library = library
        self.opened: dict[int, Opened] = {ROOT_FD: Opened("")} if library is not None else {}

    def fd_prestat_get(self, memory: Memory, fd: int, address: int) -> int:
        if fd != ROOT_FD or self.library is None:
            return EBADF
        memory.write(address, struct.pack("<II", 0, len(ROOT)))
        return 0

    def fd_prestat_dir_name(self, memory: Memory, fd: int, address: int, size: int) -> int:
        if fd != ROOT_FD or self.library is None or size < len(ROOT):
            return EBADF
        memory.write(address, ROOT.encode())
        return 0

    def fd_fdstat_get(self, memory: Memory, fd: int, address: int) -> int:
        kind = self._kind(fd)
        if not kind:
            return EBADF
        memory.write(address, struct.pack("<BxHxxxxQQ", kind, 0, ALL_RIGHTS, ALL_RIGHTS))
        return 0

    def fd_filestat_get(self, memory: Memory, fd: int, address: int) -> int:
        kind = self._kind(fd)
        if not kind:
            return EBADF
        self._stat(memory, kind, self.opened[fd].path if fd in self.opened else "", address)
        return 0

    def path_filestat_get(self, memory: Memory, fd: int, flags: int, path_at: int, size: int, address: int) -> int:
        path = self._resolve(memory, fd, path_at, size)
        kind = self.library.kind(path) if self.library is not None and path is not None else 0
        if path is None or not kind:
            return ENOENT
        self._stat(memory, kind, path, address)
        return 0

    def path_open(
        self, memory: Memory, fd: int, lookup: int, path_at: int, size: int, how: int, rights: int, inherited: int,
        flags: int, fd_at: int,
    ) -> int:  # fmt: skip
        path = self._resolve(memory, fd, path_at, size)
        kind = self.library.kind(path) if self.library is not None and path is not None else 0
        if how & (CREATE | EXCLUSIVE | TRUNCATE):
            return EROFS
        if path is None or not kind:
            return ENOENT
        if how & DIRECTORY and kind != FOLDER:
            return ENOTDIR
        free = next((number for number in range(ROOT_FD + 1, MAX_OPEN) if number not in self.opened), 0)
        if not free:
            return EMFILE
        self.opened[free] = Opened(path)
        memory.write(fd_at, struct.pack("<I", free))
        return 0

    def fd_close(self, memory: Memory, fd: int) -> int:
        if fd in (0, 1, 2):
            return 0  # they belong to the host, which keeps them open
        return 0 if self.opened.pop(fd, None) else EBADF

    def fd_read(self, memory: Memory, fd: int, vectors: int, count: int, size_at: int) -> int:
        if fd not in self.opened or self._kind(fd) != FILE or self.library is None:
            return EBADF
        file, total = self.opened[fd], 0
        content = self.library.content(file.path)
        for address, room in memory.vectors(vectors, count):
            data = content[file.at : file.at + room]
            memory.write(address, data)
            file.at += len(data)
            total += len(data)
        memory.write(size_at, struct.pack("<I", total))
        return 0

    def fd_seek(self, memory: Memory, fd: int, offset: int, whence: int, at: int) -> int:
        if fd not in self.opened or self.library is None or self._kind(fd) != FILE:
            return EINVAL if fd in (0, 1, 2) else EBADF
        file = self.opened[fd]
        start = (0, file.at, self.library.sizes[file.path])[whence]
        if start + offset < 0:
            return EINVAL
        file.at = start + offset
        memory.write(at, struct.pack("<Q", file.at))
        return 0

    def fd_readdir(self, memory: Memory, fd: int, address: int, size: int, cookie: int, used_at: int) -> int:
        if fd not in self.opened or self.library is None or self._kind(fd) != FOLDER:
            return EBADF
        entries = list(self.library.folders[self.opened[fd].path].items())
        data = b""
        for number, (name, kind) in enumerate(entries[cookie:], cookie + 1):
            data += struct.pack("<QQIBxxx", number, 0, len(name), kind) + name.encode()
            if len(data) > size:
                break
        memory.write(address, data[:size])
        memory.write(used_at, struct.pack("<I", min(len(data), size)))
        return 0

    def _kind(self, fd: int) -> int:
        if fd in (0, 1, 2):
            return DEVICE
        return self.library.kind(self.opened[fd].path) if self.library is not None and fd in self.opened else 0

    def _stat(self, memory: Memory, kind: int, path: str, address: int) -> None:
        size = self.library.sizes.get(path, 0) if self.library is not None else 0
        memory.write(address, struct.pack("<QQB7xQQQQQ", 0, 0, kind, 1, size, 0, 0, 0))

    def _resolve(self, memory: Memory, fd: int, address: int, size: int) -> str | None:
        """A path relative to an open folder; None where it leads nowhere in here."""
        if fd not in self.opened or not 0 <= size <= 4_096:
            return None
        parts = self.opened[fd].path.split("/") + memory.read(address, size).decode("utf-8", "replace").split("/")
        kept = [part for part in parts if part not in ("", ".")]
        return None if ".." in kept else "/".join(kept)
