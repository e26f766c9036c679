"""Kills the process that holds a busy sandbox, again and again, and counts the containers that it leaves.

    python benchmarks/sandbox_crash.py [--kills 100] [--json]

Each round starts a new process with a warm pool and programs that run, and ends it with SIGKILL at a random moment. A
container counts as leaked when it is still there 5 s (``--grace``) after its process died. The last line is a JSON
object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sandbox import owner
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.engine import connect
from sandbox.types import CallCheck, Check, Limits, Program

PROGRAMS = (
    "def f(x):\n    return x + 1\n",
    "import time\ndef f(x):\n    time.sleep(0.3)\n    return x + 1\n",
    "import os, time\ndef f(x):\n    os.fork()\n    time.sleep(30)\n",
    "import os, time\ndef f(x):\n    if os.fork() == 0:\n        time.sleep(1000)\n    return x + 1\n",
    "import os\ndef f(x):\n    while True:\n        os.fork()\n",
    "def f(x):\n    kept = []\n    while True:\n        kept.append(b'x' * 2**20)\n",
    "def f(x):\n    while True:\n        print('x' * 1000)\n",
    "def f(x):\n    with open('big', 'wb') as file:\n        while True:\n            file.write(b'x' * 2**16)\n",
)
"""Programs that behave, wait, multiply, leave daemons, and fill memory, output and disk."""
CHECKS: list[Check] = [CallCheck(call="f(1)", expected="2")]
LIMITS = Limits(wall_s=2, cpu_s=2)


async def victim(proofs: Path) -> None:
    """Start a sandbox, say so, and keep it busy until killed."""
    settings = DockerSettings(warm=2, concurrency=2, creators=2, proofs=proofs)
    async with await DockerSandbox.start(settings) as sandbox:
        print("busy", flush=True)

        async def keep_running(source: str) -> None:
            while True:
                await sandbox.run(Program(source=source), CHECKS, LIMITS)

        await asyncio.gather(*map(keep_running, PROGRAMS))


def kill_once(client: object, most_busy_s: float, grace_s: float, proofs: str) -> tuple[int, int, float]:
    """One round: (containers when killed, containers leaked, seconds until the last one was gone)."""
    process = subprocess.Popen([sys.executable, __file__, "--victim", proofs], stdout=subprocess.PIPE)
    assert process.stdout is not None
    if process.stdout.readline().strip() != b"busy":
        raise SystemExit("the process that was to be killed did not start")
    label = f"{owner.PROCESS}={owner.process_id(process.pid)}"
    time.sleep(random.uniform(0, most_busy_s))
    held = len(left(client, label))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    began = time.monotonic()
    while (containers := left(client, label)) and time.monotonic() - began < grace_s:
        time.sleep(0.05)
    return held, len(containers), time.monotonic() - began


def left(client: object, label: str) -> list[object]:
    """Containers, in any state, of one process."""
    return list(client.containers(all=True, filters={"label": label}))  # type: ignore[attr-defined]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=100, help="rounds (default 100)")
    parser.add_argument("--busy", type=float, default=1.5, help="longest time before a kill, in seconds")
    parser.add_argument(
        "--grace", type=float, default=5.0, help="seconds a container may outlive its process (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument("--victim", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.victim:
        asyncio.run(victim(options.victim))
    client = connect()
    rounds = []
    with tempfile.TemporaryDirectory() as proofs:
        for number in range(options.kills):
            rounds.append(kill_once(client, options.busy, options.grace, proofs))
            held, leaked, seconds = rounds[-1]
            print(f"kill {number + 1}: {held} containers, {leaked} left, {seconds:.2f} s", file=sys.stderr, flush=True)
    result = {
        "kills": len(rounds),
        "containers_held": sum(held for held, _leaked, _seconds in rounds),
        "leaked_containers": sum(leaked for _held, leaked, _seconds in rounds),
        "longest_s": round(max(seconds for _held, _leaked, seconds in rounds), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
