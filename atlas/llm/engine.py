"""The embedded engine, seen from the service: start its process, know its address and key, end it for certain."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
import anyio.abc
import anyio.to_thread

from atlas.errors import ModelUnavailable
from atlas.llm.engine_server import KEY_VARIABLE

START_SECONDS = 120.0
"""Reading a model of some gigabytes from a cold disk; an engine that is silent for longer is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEngine:
    """A running engine. Talk to it with any OpenAI-compatible client."""

    base_url: str
    api_key: str
    pid: int

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        model: Path,
        *,
        name: str = "",
        sha256: str = "",
        n_ctx: int = 8192,
        slots: int = 8,
        threads: int = 0,
        library: Path | None = None,
    ) -> AsyncIterator[EmbeddedEngine]:
        """Run llama.cpp with `model` in a child process for as long as the context lasts.

        `n_ctx` tokens are shared by `slots` completions that are generated together; `threads` 0 takes every core.
        `library`: a libllama.so built for this machine, of the release that `atlas.llm.llamacpp` names.
        Raises ModelUnavailable with the engine's own words where it does not come up.
        """
        key = secrets.token_urlsafe(32)
        command = [
            sys.executable, "-m", "atlas.llm.engine_server", "--model", str(model), "--name", name or model.stem,
            "--sha256", sha256, "--n-ctx", str(n_ctx), "--slots", str(slots),
            "--threads", str(threads or len(os.sched_getaffinity(0))),
            *([] if library is None else ["--library", str(library)]),
        ]
        # A file and no pipe for what it complains of: nobody reads along, and a full pipe would stop the engine.
        with tempfile.TemporaryFile() as said:
            process = await anyio.to_thread.run_sync(
                lambda: subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                    # Threads that spin while they wait keep those that they wait for off a busy machine's cores.
                env={"OMP_WAIT_POLICY": "passive", **os.environ, KEY_VARIABLE: key}, start_new_session=True,
                )
            )
            try:
                port = await _port(process, said)
                yield cls(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, pid=process.pid)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(_end, process)


async def _port(process: subprocess.Popen[bytes], said: IO[bytes]) -> int:
    """Wait for the line `ready PORT`. Raises ModelUnavailable with the last line of `said` where it does not come."""
    assert process.stdout is not None
    line = b""
    with anyio.move_on_after(START_SECONDS):
        line = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
    if line.startswith(b"ready "):
        return int(line.split()[1])
    process.kill()
    process.wait()
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    raise ModelUnavailable(f"the embedded engine did not start: {lines[-1] if lines else 'no answer'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its standard input, which it takes as the end; kill it where it does not listen."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
