"""What an engine says of itself decides whether anything is run on it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sandbox.engine import Engine
from sandbox.errors import SandboxMisconfigured
from sandbox.preflight import check_engine

GOOD = {
    "MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True, "SecurityOptions": ["name=seccomp,profile=default"],
    "Runtimes": {"runc": {}},
}  # fmt: skip


class Described:
    """An engine that only describes itself."""

    def __init__(self, podman: bool = False, **info: Any) -> None:
        self.podman = podman
        self.said = GOOD | info

    async def info(self) -> dict[str, Any]:
        return self.said

    async def is_podman(self) -> bool:
        return self.podman


def check(engine: Described, runtime: str | None = None) -> None:
    asyncio.run(check_engine(cast(Engine, engine), runtime))


def test_an_engine_with_every_limit_is_fine() -> None:
    check(Described())
    check(Described(), "runc")


@pytest.mark.parametrize(
    ("engine", "runtime", "sentence"),
    [
        (Described(PidsLimit=False), None, "cannot enforce PidsLimit"),
        (Described(MemoryLimit=False, CpuCfsQuota=None), None, "MemoryLimit, CpuCfsQuota"),
        (Described(SecurityOptions=["name=rootless"]), None, "no seccomp"),
        (Described(SecurityOptions=None), None, "no seccomp"),
        (Described(), "runsc", "no runtime 'runsc'"),
        (Described(podman=True), None, "Podman"),
    ],
)
def test_what_is_missing_is_named(engine: Described, runtime: str | None, sentence: str) -> None:
    with pytest.raises(SandboxMisconfigured, match=sentence):
        check(engine, runtime)
