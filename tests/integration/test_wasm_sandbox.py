"""What is the WebAssembly sandbox's own: its threads, its queue, its end, and that nothing leads out of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from sandbox import wasm
from sandbox.errors import SandboxBusy, SandboxUnavailable
from sandbox.types import Limits, Outcome, Program, StdioCheck
from sandbox.wasm import WasmSandbox
from tests.support.sandboxes import QUICK, call, judge

pytestmark = pytest.mark.anyio
DOUBLE = "def f(x):\n    return 2 * x"
ENDLESS = "while True:\n    pass"
F = call("f(2)", "4")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def sandbox() -> AsyncIterator[WasmSandbox]:
    async with await WasmSandbox.start(concurrency=2) as opened:
        yield opened


def own_threads() -> int:
    return sum(thread.name.startswith("wasm-") for thread in threading.enumerate())


async def test_closing_leaves_no_thread() -> None:
    sandbox = await WasmSandbox.start(concurrency=2)
    assert (await judge(sandbox, DOUBLE, F)).passed
    await asyncio.sleep(0.2)
    assert own_threads() == 3  # the clock, and two instances that wait
    await sandbox.aclose()
    assert own_threads() == 0
    with pytest.raises(SandboxUnavailable, match="closed"):
        await judge(sandbox, DOUBLE, F)


async def test_closing_ends_what_runs() -> None:
    sandbox = await WasmSandbox.start(concurrency=1)
    running = asyncio.create_task(judge(sandbox, ENDLESS, F, limits=Limits(wall_s=60, cpu_s=60)))
    await asyncio.sleep(0.5)
    started = time.monotonic()
    await sandbox.aclose()
    with pytest.raises(SandboxUnavailable, match="while the program ran"):
        await running
    assert time.monotonic() - started < 5
    assert own_threads() == 0


async def test_a_full_queue_says_so(sandbox: WasmSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "MAX_WAITING", 1)
    limits = Limits(wall_s=2, cpu_s=2)
    tasks = [asyncio.create_task(judge(sandbox, ENDLESS, F, limits=limits)) for _ in range(3)]
    await asyncio.sleep(0.2)
    with pytest.raises(SandboxBusy, match="try again later"):
        await judge(sandbox, DOUBLE, F)
    assert [verdict.outcome for verdict in await asyncio.gather(*tasks)] == [Outcome.TIMEOUT] * 3


async def test_the_least_memory_is_enough_to_start(sandbox: WasmSandbox) -> None:
    assert (await judge(sandbox, "from typing import List\n" + DOUBLE, F, limits=Limits(memory_mb=16))).passed


async def test_waiting_costs_nothing(sandbox: WasmSandbox) -> None:
    await judge(sandbox, DOUBLE, F)
    await asyncio.sleep(2)
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.1


async def test_instances_are_ready_before_they_are_needed(sandbox: WasmSandbox) -> None:
    await asyncio.sleep(2)
    verdict = await judge(sandbox, "import sys\ndef f(x):\n    return 4 if 'typing' in sys.modules else 5", F)
    assert verdict.passed


NOTHING = {
    "files": "import os\nprint(os.listdir('/'))",
    "the host's files": "print(open('/etc/passwd').read())",
    "up and out": "print(open('/usr/local/lib/../../../etc/passwd').read())",
    "writing": "open('/usr/local/lib/x', 'w')",
    "descriptors": "import os\nprint(os.open('/proc/self/mem', os.O_RDONLY))",
    "sockets": "import socket\nsocket.socket()",
    "threads": "import threading\nthreading.Thread(target=print).start()",
    "processes": "import os\nos.fork()",
    "foreign functions": "import ctypes",
}


@pytest.mark.parametrize("name", NOTHING)
async def test_there_is_nothing_outside(sandbox: WasmSandbox, name: str) -> None:
    verdict = await judge(sandbox, NOTHING[name])
    assert verdict.outcome is Outcome.ERROR, verdict
    assert "root:" not in verdict.checks[0].stdout


async def test_the_environment_is_empty(sandbox: WasmSandbox) -> None:
    verdict = await judge(sandbox, "import os, sys\nprint(dict(os.environ), os.getcwd(), sys.argv)")
    assert verdict.checks[0].stdout == "{} / ['-c']\n"


async def test_calls_at_the_edge_of_what_they_take(sandbox: WasmSandbox) -> None:
    source = (
        "import os, time\nos.write(1, b'x' * 100)\nprint(os.read(0, 2 ** 20))\ntime.sleep(0)\ntime.sleep(1e-9)\n"
        "print(len(set(os.urandom(200_000)[-1_000:])) > 200)"
    )
    check = StdioCheck(stdin="in", stdout="x" * 100 + "b'in'\nTrue")
    verdict = await sandbox.run(Program(source=source), [check], QUICK)
    assert verdict.passed, verdict


async def test_random_numbers_differ_from_run_to_run(sandbox: WasmSandbox) -> None:
    seen = {(await judge(sandbox, "import random\nprint(random.random())")).checks[0].stdout for _ in range(3)}
    assert len(seen) == 3
