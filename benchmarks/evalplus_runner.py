"""EvalPlus's own checker in a Python that has it: what benchmarks/eval_agreement.py compares our grading with.

    PYTHON-WITH-EVALPLUS benchmarks/evalplus_runner.py MbppPlus.jsonl SAMPLES.jsonl WORKERS

Expected values come from running the canonical solutions, as EvalPlus does it: in this process. Each sample runs in a
forked process of this machine, with this user's rights. The last line is a JSON object: each sample's status on the
base and on the plus inputs, and the tasks whose canonical solution fails.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def main(problems: str, samples: str, workers: int) -> None:
    """Check every sample as `evalplus.evaluate` does, with its default limits."""
    os.environ["MBPP_OVERRIDE_PATH"] = problems
    from evalplus.data import get_mbpp_plus
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.evaluate import check_correctness
    from evalplus.gen.util import trusted_exec

    rows = get_mbpp_plus(err_incomplete=False)
    lines = [json.loads(line) for line in Path(samples).read_text(encoding="utf-8").splitlines()]
    expected: dict[str, dict[str, Any]] = {}
    broken: dict[str, str] = {}
    for id_ in dict.fromkeys(line["task_id"] for line in lines):
        row = rows[id_]
        truth: dict[str, Any] = {}
        try:
            for kind in ("base", "plus"):
                truth[kind], truth[f"{kind}_time"] = trusted_exec(
                    row["prompt"] + row["canonical_solution"], row[f"{kind}_input"], row["entry_point"],
                    record_time=True, output_not_none=row["entry_point"] in MBPP_OUTPUT_NOT_NONE_TASKS,
                )
        except Exception as error:  # noqa: BLE001  whatever a canonical solution raises, the task is reported
            broken[id_] = f"{type(error).__name__}: {error}"[:200]
        else:
            expected[id_] = truth

    def check(job: tuple[int, dict[str, Any]]) -> list[str] | None:
        number, line = job
        id_ = line["task_id"]
        if id_ in broken:
            return None
        found = check_correctness("mbpp", number, rows[id_], line["solution"], expected[id_], fast_check=True)
        return [found["base"][0], found["plus"][0]]

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(check, enumerate(lines)))
    print(json.dumps({"results": results, "broken": broken}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
