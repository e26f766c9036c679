"""The doctor names every part, and the exact fix for what is missing."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest
from numpy._core import _multiarray_umath

from atlas import doctor, models, settings
from atlas.doctor import Part, examine
from atlas.errors import ModelUnavailable
from atlas.llm import llamacpp
from atlas.settings import LLMSettings, Settings

NAMES = ["python", "torch", "model", "engine", "cost field", "docker", "wasm", "database"]


@pytest.fixture(autouse=True)
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine answers, and no settings but those of the test."""
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(doctor, "docker_status", lambda host: f"nobody answers at {host or 'the default'}")


def parts(tmp_path: Path, **changes: object) -> dict[str, Part]:
    fields = {"cache_dir": tmp_path / "cache", "cost_field": tmp_path / "none", "api": {"database": tmp_path / "a.db"}}
    found = examine(Settings(**(fields | changes)))  # type: ignore[arg-type]
    assert [part.name for part in found] == NAMES
    assert all(part.found and (part.ok or part.fix) for part in found)
    return {part.name: part for part in found}


def test_what_is_missing_is_named_with_its_fix(tmp_path: Path) -> None:
    found = parts(tmp_path)
    assert not found["model"].ok and found["model"].fix == "atlas models pull qwen2.5-coder-1.5b"
    assert not found["cost field"].ok and "costfield train" in found["cost field"].fix
    assert found["python"].ok and found["torch"].ok and found["wasm"].ok and found["database"].ok
    assert list(tmp_path.iterdir()) == []  # nothing was made


def test_docker_is_needed_only_where_it_was_chosen(tmp_path: Path) -> None:
    auto, chosen = parts(tmp_path), parts(tmp_path, sandbox={"kind": "docker", "docker_host": "tcp://x"})
    assert not auto["docker"].ok and not auto["docker"].needed
    assert not chosen["docker"].ok and chosen["docker"].needed and "tcp://x" in chosen["docker"].found


def test_with_a_server_neither_a_model_file_nor_an_engine_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers(llm: LLMSettings, base_url: str) -> str:
        return "coder-7b"

    monkeypatch.setattr(doctor, "ask_server", answers)
    found = parts(tmp_path, llm={"base_url": "http://x/v1"}, ranker="first")
    assert found["model"].ok and found["model"].found == "coder-7b on http://x/v1"
    assert found["engine"].ok and found["cost field"].ok and "first" in found["cost field"].found


def test_a_server_that_does_not_answer_is_a_missing_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(llm: LLMSettings, base_url: str) -> str:
        raise ModelUnavailable(f"No model server answers at {base_url}")

    monkeypatch.setattr(doctor, "ask_server", silent)
    found = parts(tmp_path, llm={"base_url": "http://x/v1"})["model"]
    assert not found.ok and found.needed and "http://x/v1" in found.found and "ATLAS_LLM__BASE_URL" in found.fix


def test_a_damaged_model_file_is_missing_too_and_its_fix_is_one_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "mine.gguf"
    wrong.write_bytes(b"<html>")
    found = parts(tmp_path, llm={"model": str(wrong)})["model"]
    assert "not a GGUF file" in found.found and found.fix.startswith("set ATLAS_LLM__MODEL to the path of a GGUF file")
    model = replace(models.CATALOGUE[models.DEFAULT], bytes=8)
    monkeypatch.setattr(models, "CATALOGUE", {model.name: model})
    file = models.models_dir(tmp_path / "cache") / model.file
    file.parent.mkdir(parents=True)
    for content in (b"GGUF", b"GGUFGGUF"):  # too short; then whole, with other bytes than the publisher's
        file.write_bytes(content)
        damaged = parts(tmp_path)["model"]
        assert not damaged.ok and damaged.fix == "atlas models pull qwen2.5-coder-1.5b --force"
    assert "SHA-256" in damaged.found


def test_a_ranker_that_there_is_not_is_named(tmp_path: Path) -> None:
    found = parts(tmp_path, ranker="fastest")["cost field"]
    assert not found.ok and "'fastest'" in found.found and "agreement" in found.fix


def test_a_library_that_is_not_llama_cpp_is_said_to_be_none(tmp_path: Path) -> None:
    text = tmp_path / "libllama.so"
    text.write_text("no library")
    found = parts(tmp_path, llm={"library": text})["engine"]
    assert not found.ok and "cannot be loaded" in found.found and llamacpp.PINNED in found.fix
    other = Path(_multiarray_umath.__file__)  # a shared library, but of something else
    assert "it has no llama_" in parts(tmp_path, llm={"library": other})["engine"].found


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    found = parts(tmp_path)
    assert not found["torch"].ok and found["torch"].fix == "make setup"
    assert not found["wasm"].ok and "wasmtime" in found["wasm"].found
    assert not found["engine"].ok


def test_a_database_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    found = parts(tmp_path, api={"database": Path("/proc/nowhere/atlas.db")})["database"]
    assert not found.ok and "/proc" in found.fix and "ATLAS_API__DATABASE" in found.fix


def test_a_database_below_a_file_or_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "atlas.db", tmp_path):
        assert not parts(tmp_path, api={"database": path})["database"].ok
    assert parts(tmp_path, api={"database": tmp_path / "file"})["database"].ok
