"""Runs to be reported: a small pool, and the same with texts that attack whoever shows them."""

from __future__ import annotations

from dataclasses import replace

from atlas.evals.rows import Rows
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
