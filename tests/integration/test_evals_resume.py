"""A labelling run killed with SIGKILL, again and again, in a process of its own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from costfield.shards import load_examples

WORKER = """
import sys, time
from pathlib import Path
import anyio
from atlas.evals import label as module
from atlas.evals.label import label
from atlas.evals.run import Run
from tests.support.evals import MarkedSandbox, ScriptedLLM, config, parts, problem

class Slow(ScriptedLLM):
    async def sample(self, messages, sampling):
        with open(sys.argv[1] + "/asked", "a") as out:
            out.write(messages[-1].content.split()[3] + "\\n")
        await anyio.sleep(0.01)
        return await super().sample(messages, sampling)

class Slower(MarkedSandbox):
    async def run(self, program, checks, limits):
        await anyio.sleep(0.002)
        return await super().run(program, checks, limits)

async def main():
    folder = Path(sys.argv[1])
    module.PROBLEMS_IN_SHARD = 5
    problems = [problem(f"p{i}") for i in range(40)]
    with Run.open(folder / "run", config()) as run:
        await label(run, problems, parts(folder, llm=Slow(), sandbox=Slower()), folder / "shards")

print("begun", flush=True)
anyio.run(main)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    kills = cut_short = 0
    for _ in range(15):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        known = {p.name: p.read_bytes() for p in (tmp_path / "run" / "completions").glob("*.parquet")}
        time.sleep(rng.uniform(0.1, 0.9))
        worker.send_signal(signal.SIGKILL)
        ended = worker.wait()
        worker.stdout.close()
        for name, data in known.items():
            assert (tmp_path / "run" / "completions" / name).read_bytes() == data, "what was recorded is not redone"
        if ended == 0:
            break
        kills += 1
        cut_short += 0 < len(list((tmp_path / "run" / "grades").glob("*.parquet"))) < 40
        if (tmp_path / "shards" / "manifest.json").exists():
            counted = Counter(load_examples(tmp_path / "shards").problem.tolist())
            assert set(counted.values()) <= {4}, "whole problems only, each once"
    subprocess.run([sys.executable, "-c", WORKER, str(tmp_path)], env=environment, check=True)

    examples = load_examples(tmp_path / "shards")
    assert Counter(examples.problem.tolist()) == {f"p{i}": 4 for i in range(40)}
    assert cut_short >= 2, "the test is about being killed in the middle"
    asked = Counter((tmp_path / "asked").read_text().split())
    assert sum(asked.values()) <= 40 + kills * 2, "a kill costs at most what was in flight"
