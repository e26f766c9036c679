"""Before the first container: can this engine enforce what we ask for, and what did dead processes leave on it?"""

from __future__ import annotations

import logging

from sandbox import owner
from sandbox.engine import Engine
from sandbox.errors import SandboxMisconfigured

log = logging.getLogger(__name__)
PODMAN = (
    "Podman answers where a Docker engine was expected. It can neither cap the number of files in a tmpfs nor take a "
    "seccomp profile from its caller, so those limits would be missing. Point DOCKER_HOST at a Docker engine, or use "
    "the WebAssembly sandbox."
)


async def check_engine(engine: Engine, runtime: str | None) -> None:
    """Raise SandboxMisconfigured, with the fix, where the engine says itself that it cannot do what is needed."""
    info = await engine.info()
    if await engine.is_podman():
        raise SandboxMisconfigured(PODMAN)
    if runtime and runtime not in (runtimes := info.get("Runtimes") or {}):
        raise SandboxMisconfigured(
            f"The Docker engine has no runtime {runtime!r} (it has {', '.join(runtimes)}). Install it, register it "
            'in /etc/docker/daemon.json under "runtimes", and restart the engine.'
        )
    lacking = [name for name in ("MemoryLimit", "PidsLimit", "CpuCfsQuota") if not info.get(name)]
    if lacking:
        raise SandboxMisconfigured(
            f"This Docker engine cannot enforce {', '.join(lacking)} (rootless engines need cgroup v2 and "
            "delegation of the controllers cpu, memory and pids). Programs would run without that limit."
        )
    if "seccomp" not in str(info.get("SecurityOptions")):
        raise SandboxMisconfigured("This Docker engine has no seccomp: programs could make any system call.")


async def sweep(engine: Engine) -> None:
    """Remove containers whose owner is this machine and whose process is dead; never by age."""
    found = await engine.labelled(f"{owner.OWNER}={owner.owner_id()}")
    for name, labels in found.items():
        if not owner.is_alive(labels.get(owner.PROCESS, "")):
            log.info("removing container %s that a dead process left", name[:12])
            await engine.remove(name)
