"""What becomes of containers and runs when it is the host that dies, or the engine behind it (rows 45 and 46)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from sandbox import owner
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.engine import Engine
from sandbox.errors import SandboxUnavailable
from sandbox.images.recipes import image_tag
from sandbox.types import CallCheck, Check, Outcome, Program, Verdict
from tests.hostile.corpus import LIMITS
from tests.hostile.ground import NORMAL, NORMAL_CHECKS, made_by

pytestmark = [pytest.mark.docker, pytest.mark.anyio, pytest.mark.timeout(400)]
CRASH = Path(__file__).parents[2] / "benchmarks" / "sandbox_crash.py"
PATIENCE_S = 60
"""For what takes a second or two on a machine that has nothing else to do."""
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
SLOW = Program(source="import time\ndef f(x):\n    time.sleep(1)\n    return 2 * x\n")
FOR_EVER = Program(source="import time\ndef f(x):\n    time.sleep(1000)\n")
ONE_CHECK: tuple[Check, ...] = (CallCheck(call="f(2)", expected="4"),)


class Between:
    """A socket in front of the engine's, which can go away as the engine does when it is restarted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.there = True
        self.cut = 0
        self._ends: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Between:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection, as a restart does."""
        self.cut += len(self._ends) // 2
        for end in self._ends:
            end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.there:
            writer.close()
            return
        engine_reader, engine_writer = await asyncio.open_unix_connection(SOCKET)
        ends = {writer, engine_writer}
        self._ends |= ends
        ways = [asyncio.ensure_future(_pass_on(*way)) for way in ((reader, engine_writer), (engine_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.close()
        await asyncio.wait(ways)
        self._ends -= ends


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # cut off


async def of_process(pid: int, engine: Engine) -> set[str]:
    """The containers, in any state, that a process has made."""
    return set(await engine.labelled(made_by(pid)))


async def until_gone(names: Iterable[str], engine: Engine) -> set[str]:
    """Wait until the engine does not know these containers any more; those that stay."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := set(names) & set(await engine.labelled(owner.LABEL))) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    return left


async def as_soon_as_it_can(sandbox: DockerSandbox) -> Verdict:
    """A normal run; what was being made while the engine was away still fails."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await sandbox.run(NORMAL, NORMAL_CHECKS, LIMITS)
        except SandboxUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def settings(proofs: Path, host: str | None = None) -> DockerSettings:
    return DockerSettings(host=host, warm=1, limits=LIMITS, proofs=proofs)


def test_a_killed_service_takes_its_containers_along() -> None:
    """kill -9 at any moment, with programs that fork, wait, leave daemons and fill memory and disk under way."""
    command = [sys.executable, "-P", str(CRASH), "--kills", "3", "--grace", str(PATIENCE_S), "--json"]
    environment = os.environ | {"PYTHONPATH": str(CRASH.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["kills"] == 3 and result["containers_held"] >= 3, done.stderr
    assert result["leaked_containers"] == 0, done.stderr


async def test_without_its_reaper_a_killed_service_leaves_nothing_that_runs_and_a_start_removes_the_rest(
    proofs: Path,
) -> None:
    """Containers of others stay what they are, also those that carry our label, also those that do nothing."""
    engine = Engine()
    stranger = owner.labels() | {owner.OWNER: "another-machine", owner.PROCESS: "boot/99999999/1"}
    others, _warnings = await engine.create({"image": image_tag("python"), "command": ["x"], "labels": stranger}, {})
    command = [sys.executable, "-P", str(CRASH), "--victim", str(proofs)]
    environment = os.environ | {"PYTHONPATH": str(CRASH.parents[1])}
    try:
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as service:
            assert service.stdout is not None and service.stdout.readline() == b"busy\n"
            dead = owner.process_id(service.pid)
            running = await of_process(service.pid, engine)
            for reaper in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
                os.kill(int(reaper), 9)
            service.kill()
        assert running and not await until_gone(running, engine)
        # made, and not yet started when the process died: nothing inside could notice
        left, _warnings = await engine.create(
            {"image": image_tag("python"), "command": ["x"], "labels": owner.labels() | {owner.PROCESS: dead}}, {}
        )
        async with await DockerSandbox.start(settings(proofs)) as sandbox:
            found = set(await engine.labelled(owner.LABEL))
            assert left not in found and others in found
            assert not await engine.labelled(f"{owner.PROCESS}={dead}")
            assert (await sandbox.run(NORMAL, NORMAL_CHECKS, LIMITS)).passed
    finally:
        await engine.remove(others)
        engine.close()


async def test_a_run_that_loses_the_engine_is_run_again_and_nothing_is_left(proofs: Path, tmp_path: Path) -> None:
    engine = Engine()
    before = await of_process(os.getpid(), engine)
    async with Between(tmp_path / "engine.sock") as between:
        async with await DockerSandbox.start(settings(proofs, f"unix://{between.path}")) as sandbox:
            await sandbox.warmed_up()
            run = asyncio.create_task(sandbox.run(SLOW, ONE_CHECK, LIMITS))
            while not sandbox.gauges()["warm_hits"]:
                await asyncio.sleep(0)
            between.hang_up()
            assert (await run).passed and between.cut and sandbox.gauges()["discarded"]
            await sandbox.warmed_up()
            between.there = False
            between.hang_up()
            with pytest.raises(SandboxUnavailable):
                await sandbox.run(NORMAL, NORMAL_CHECKS, LIMITS)
            between.there = True
            assert (await as_soon_as_it_can(sandbox)).passed
    assert not await until_gone(await of_process(os.getpid(), engine) - before, engine)
    engine.close()


async def test_a_program_whose_container_is_always_taken_away_has_no_verdict_of_its_own(proofs: Path) -> None:
    engine = Engine()
    before = await of_process(os.getpid(), engine)
    async with await DockerSandbox.start(settings(proofs)) as sandbox:
        run = asyncio.create_task(sandbox.run(FOR_EVER, ONE_CHECK, LIMITS))
        while not run.done():
            for name in await of_process(os.getpid(), engine) - before:
                await engine.remove(name)
            await asyncio.sleep(0.5)
        verdict = await run
        assert verdict.outcome is Outcome.SANDBOX_ERROR
        assert (await sandbox.run(NORMAL, NORMAL_CHECKS, LIMITS)).passed
    assert not await until_gone(await of_process(os.getpid(), engine) - before, engine)
    engine.close()
