"""Opening the sandboxes that the contract suites run over, and short ways to use one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.types import CallCheck, Check, Limits, Program, Sandbox, Verdict

QUICK = Limits(wall_s=10, cpu_s=10)


async def open_wasm() -> Sandbox:
    """CPython in WebAssembly."""
    from sandbox.wasm import WasmSandbox

    return await WasmSandbox.start()


async def open_docker() -> Sandbox:
    """Containers of the local engine."""
    from sandbox.docker import DockerSandbox

    return await DockerSandbox.start()


OPENERS: dict[str, Callable[[], Awaitable[Sandbox]]] = {"wasm": open_wasm, "docker": open_docker}


async def judge(sandbox: Sandbox, source: str, *checks: Check, limits: Limits = QUICK) -> Verdict:
    """Judge a program, and check that the verdict names the sandbox's isolation."""
    verdict = await sandbox.run(Program(source=source), checks, limits)
    assert verdict.isolation == sandbox.isolation
    return verdict


def call(expression: str, expected: str = "None", **more: Any) -> CallCheck:
    """A call check in short."""
    return CallCheck(call=expression, expected=expected, **more)
