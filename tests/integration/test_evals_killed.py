"""An evaluation killed with SIGKILL, again and again, and gone on with from its folder alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atlas.evals.commands import read_results
from atlas.evals.resume import finished, stored_plan
from atlas.evals.rows import Rows
from tests.support.evals import lines

PROBLEMS = 40
WORKER = """
import io, sys
from pathlib import Path
import anyio
from atlas.errors import ConfigError
from atlas.evals.commands import Plan, run_eval
from atlas.evals.resume import stored_plan
from tests.support.evals import HashFingerprinter, MarkedSandbox, ScriptedLLM

class Slow(ScriptedLLM):
    async def sample(self, messages, sampling):
        with open(folder / "asked", "a") as out:
            out.write(messages[-1].content.split()[1] + "\\n")
        await anyio.sleep(0.02)
        return await super().sample(messages, sampling)

folder = Path(sys.argv[1])
try:
    plan = stored_plan(folder / "run", cache=folder / "cache")
except ConfigError:
    plan = Plan(datasets=(str(folder / "tasks.jsonl"),), folder=folder / "run", cache=folder / "cache", k=2)
print("begun", flush=True)
anyio.run(lambda: run_eval(plan, Slow(), HashFingerprinter(), MarkedSandbox(), None, progress_to=io.StringIO()))
"""


def work(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    hidden = [{"kind": "call", "call": "f(9)", "expected": "9"}]
    lines([{"id": f"p{i}", "prompt": f"Write p{i}", "hidden": hidden} for i in range(PROBLEMS)], folder / "tasks.jsonl")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], env=environment, stdout=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_and_resumed_it_comes_to_the_same_results(tmp_path: Path) -> None:
    rng = random.Random(11)
    kills = cut_short = 0
    for _ in range(8):
        worker = work(tmp_path / "killed")
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(rng.uniform(0.1, 0.8))
        worker.send_signal(signal.SIGKILL)
        worker.stdout.close()
        if worker.wait() == 0:
            break
        kills += 1
        cut_short += 0 < len(list((tmp_path / "killed" / "run" / "grades").glob("*.parquet"))) < PROBLEMS
    for name in ("killed", "whole"):
        last = work(tmp_path / name)
        last.communicate()
        assert last.returncode == 0
    assert cut_short >= 2, "the test is about being killed in the middle"

    killed, whole = tmp_path / "killed" / "run", tmp_path / "whole" / "run"
    assert read_results(killed) == read_results(whole)
    assert Rows.read(killed).problems == Rows.read(whole).problems
    assert [row.source for row in Rows.read(killed).candidates] == [row.source for row in Rows.read(whole).candidates]
    asked = (tmp_path / "killed" / "asked").read_text().split()
    assert len(set(asked)) == PROBLEMS and len(asked) <= PROBLEMS + kills * 2, "a kill costs at most what was in flight"
    assert finished(stored_plan(killed, cache=tmp_path / "killed" / "cache")) is not None
