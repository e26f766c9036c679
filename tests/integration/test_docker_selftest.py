"""The self-test must fail where a limit does not hold, and the engine's shortcomings must be said in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import container as container_module
from sandbox import docker_spec
from sandbox.container import Maker
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.docker_spec import MIB, Shape
from sandbox.engine import Engine, docker_status
from sandbox.errors import SandboxMisconfigured, SandboxUnavailable
from sandbox.images.recipes import image_tag
from sandbox.selftest import Proof, probes, prove
from sandbox.types import CallCheck, Limits, Outcome, Program, StdioCheck

LIMITS = Limits(memory_mb=64, pids=16, disk_mb=8)


async def attack(weaken: Callable[[dict[str, Any]], None], names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the named probes in a container whose settings were weakened."""
    honest = docker_spec.host_config

    def weakened(*arguments: Any) -> dict[str, Any]:
        host = honest(*arguments)
        weaken(host)
        return host

    monkeypatch.setattr(docker_spec, "host_config", weakened)
    assert container_module.docker_spec is docker_spec
    engine = Engine()
    container = await Maker(engine=engine, image=image_tag("python")).make(Shape.of("python", LIMITS))
    try:
        await prove(container.run, LIMITS, [probe for probe in probes() if probe.name in names])
    finally:
        await container.remove()
        engine.close()


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda host: host.__setitem__(name, None)


def replaced(**settings: Any) -> Callable[[dict[str, Any]], None]:
    return lambda host: host.update(settings)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("weaken", "name"),
    [
        (replaced(pids_limit=1000), "processes"),
        (replaced(mem_limit=8192 * MIB, memswap_limit=8192 * MIB), "memory"),
        (replaced(tmpfs={"/box": "size=512m,mode=1777"}, mem_limit=2048 * MIB, memswap_limit=2048 * MIB), "disk"),
        (replaced(read_only=False), "read-only root"),
        (replaced(network_mode="bridge"), "network"),
        (replaced(security_opt=["no-new-privileges", "seccomp=unconfined"]), "network"),
        (replaced(security_opt=["no-new-privileges"]), "system calls"),  # the engine's own profile is not ours
    ],
)
def test_a_limit_that_does_not_hold_is_named(
    weaken: Callable[[dict[str, Any]], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "memory":  # let the address space end it, so that the test does not need the memory
        honest = docker_spec.boot_config
        monkeypatch.setattr(docker_spec, "boot_config", lambda *a: honest(*a) | {"address_space": 400 * MIB})
    with pytest.raises(SandboxUnavailable, match=f"does not hold.*{name}: "):
        asyncio.run(attack(weaken, {name}, monkeypatch))


@pytest.mark.docker
def test_the_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(attack(lambda host: None, {probe.name for probe in probes()}, monkeypatch))


@pytest.mark.docker
def test_a_proof_is_kept_for_the_same_facts_only(tmp_path: Path) -> None:
    async def start_twice() -> None:
        for _ in range(2):
            async with await DockerSandbox.start(DockerSettings(warm=0, limits=LIMITS, proofs=tmp_path)) as sandbox:
                assert sandbox.gauges()["made"] == 1

    asyncio.run(start_twice())
    assert len(list(tmp_path.iterdir())) == 1
    assert not Proof(tmp_path, "other facts").holds()
    Proof(tmp_path, "other facts").keep()
    assert Proof(tmp_path, "other facts").holds() and not Proof(tmp_path, "others still").holds()


@pytest.mark.docker
def test_an_unknown_runtime_is_a_misconfiguration() -> None:
    with pytest.raises(SandboxMisconfigured, match="no runtime 'nonesuch'"):
        asyncio.run(DockerSandbox.start(DockerSettings(runtime="nonesuch")))


@pytest.mark.parametrize("host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "nonsense://x"])
def test_no_engine_is_a_sentence_with_the_fix(host: str) -> None:
    with pytest.raises(SandboxUnavailable, match="No Docker engine answers") as raised:
        asyncio.run(DockerSandbox.start(DockerSettings(host=host)))
    assert "apt install docker.io" in str(raised.value) and host.split("/")[-1].split(":")[0] in str(raised.value)
    assert docker_status(host) == str(raised.value)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.gvisor
def test_gvisor_holds_and_says_so() -> None:
    if "runsc" not in asyncio.run(engine_info())["Runtimes"]:
        pytest.skip("the engine has no runtime runsc (Debian: apt install runsc, then add it to daemon.json)")

    async def run() -> None:
        async with await DockerSandbox.start(DockerSettings(warm=0, runtime="runsc")) as sandbox:
            verdict = await sandbox.run(Program(source="print(6 * 7)"), [StdioCheck(stdout="42")], Limits())
            assert verdict.passed and verdict.isolation == "docker+gvisor"
            look = "kept = os.path.exists('/tmp/kept'); open('/tmp/kept', 'w').close(); return kept"
            forgets = [CallCheck(call="f()", expected="False")] * 2  # gVisor brings a /tmp of its own
            assert (await sandbox.run(Program(source=f"import os\ndef f(): {look}\n"), forgets, Limits())).passed
            greedy = Program(source="x = []\nwhile True: x.append(b'x' * 2**20)")
            assert (await sandbox.run(greedy, [], Limits(wall_s=60, cpu_s=60))).outcome is Outcome.OOM

    asyncio.run(run())


async def engine_info() -> dict[str, Any]:
    engine = Engine()
    try:
        return await engine.info()
    finally:
        engine.close()


@pytest.mark.docker
def test_status_is_empty_where_an_engine_answers() -> None:
    assert docker_status() == ""


@pytest.mark.docker
def test_a_container_is_as_the_readme_says() -> None:
    async def inspect() -> dict[str, Any]:
        engine = Engine()
        made = await Maker(engine=engine, image=image_tag("python")).make(Shape.of("python", LIMITS))
        try:
            return dict(await engine.call(lambda client: client.inspect_container(made.name)))
        finally:
            await made.remove()
            engine.close()

    found = asyncio.run(inspect())
    host = found["HostConfig"]
    assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] and host["Init"] and host["AutoRemove"]
    assert host["CapDrop"] == ["ALL"] and sorted(host["CapAdd"]) == ["KILL", "SETGID", "SETUID"]
    assert host["LogConfig"]["Type"] == "none" and host["IpcMode"] == "private" and not host["Binds"]
    assert host["Memory"] == host["MemorySwap"] == (64 + 32) * MIB and host["PidsLimit"] == 18
    assert not host["Privileged"] and not host["PortBindings"] and not host["Devices"]
    assert any(option.startswith("seccomp={") for option in host["SecurityOpt"])
    assert found["Config"]["StdinOnce"] and not found["Mounts"]
