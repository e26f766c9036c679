"""Runs to be reported: a small pool, and the same with texts that attack whoever shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from atlas.evals.commands import read_results
from atlas.evals.loop_results import Looped, LoopResults, LoopSetup, loop_results
from atlas.evals.rows import Rows
from atlas.types import Budget, Status
from tests.support.evals import rows_of

POOL = {
    "p": [(0.1, 0.9, False), (0.2, 0.4, True)],
    "q": [(0.1, 0.6, False), (0.3, 0.5, False), (0.4, 0.1, True)],
    "r": [(0.1, 0.8, True), (0.2, 0.2, False)],
    "s": [(0.5, 0.7, False)],
    "t": [],
}
HOSTILE = (
    "</pre></details></style><script>alert(1)</script><img src=x onerror=alert(2)>"
    '<link rel=stylesheet href="//evil.test/x.css">{{ 7 * 7 }}{% raw %}\u202eesrever\x1b[2J\x00&lt;'
)


def hostile_rows() -> Rows:
    rows = rows_of(POOL)
    return replace(
        rows,
        problems=tuple(replace(row, prompt=f"{HOSTILE} prompt", note=HOSTILE) for row in rows.problems),
        candidates=tuple(replace(row, source=f"{HOSTILE}\n{row.source}", message=HOSTILE) for row in rows.candidates),
    )


def with_loop(
    folder: Path, *, ranker: str = "cost-field", solved: tuple[bool, ...] = (True, True, False)
) -> LoopResults:
    """Put one loop into the results of the run in `folder`: each problem took two rounds, 60 tokens and 1.5 seconds."""
    setup = LoopSetup(
        policy="expected-cost", policy_settings={}, ranker=ranker, cost_field="c0ffee", fingerprint_id="fp", seed=0,
        budget=Budget(seconds=120.0), isolation="docker",
    )
    done = [
        Looped(
            problem=f"p{i}", checks="0" * 64, status=Status.VERIFIED, reason="a program passed", solved=right,
            program="x = 1\n", rounds=2, attempts=2, completions=4, replayed=1, sandbox_runs=2, prompt_tokens=40,
            completion_tokens=20, seconds={"generate": 1.0, "rank": 0.25, "sandbox": 0.25},
        )
        for i, right in enumerate(solved)
    ]
    made = loop_results(setup, done, {}, {"p9": ranker})
    joined = read_results(folder).model_copy(update={"loops": {setup.name: made}})
    (folder / "results.json").write_text(joined.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return made
