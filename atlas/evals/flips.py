"""The sides of a comparison, and the problems that one of them solves with its first run and the other does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atlas.evals.commands import read_results
from atlas.evals.comparison import Flip, Pick, Side
from atlas.evals.rows import Rows

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A side with its rows."""

    side: Side
    rows: Rows

    @classmethod
    def read(cls, spec: str) -> Measured:
        """`RUN` (its leading ranker chooses) or `RUN:ranker`. Raises ConfigError where there is no such thing."""
        folder, _, ranker = (spec, "", "") if Path(spec).is_dir() else spec.rpartition(":")
        if not folder:
            folder, ranker = spec, ""
        found, rows = read_results(Path(folder)), Rows.read(Path(folder))
        ranker = ranker or found.leader
        rows.cost(ranker)  # refuses an unknown name here, where nothing was compared yet
        made = found.provenance
        return cls(
            side=Side(
                run=folder, ranker=ranker, model=made.get("model") or found.config.model,
                cost_field=made.get("cost_field", ""),
            ),
            rows=rows,
        )


def flips(a: Measured, b: Measured, problems: Sequence[str], right_a: F64, right_b: F64) -> tuple[Flip, ...]:
    """Where (m,) `right_a` and `right_b` differ: losses first, then gains; whole ones before those of a tie."""
    change = {one: float(d) for one, d in zip(problems, right_b - right_a, strict=True) if d}
    share_a, share_b = (dict(zip(problems, map(float, right), strict=True)) for right in (right_a, right_b))
    picks_a, picks_b = _Picks(a), _Picks(b)
    prompts = {row.problem: row.prompt for row in b.rows.problems}
    return tuple(
        Flip(
            problem=one, prompt=prompts[one], change=change[one],
            a=picks_a.of(one, share_a[one], right=change[one] < 0),
            b=picks_b.of(one, share_b[one], right=change[one] > 0),
        )
        for one in sorted(change, key=lambda one: (change[one] > 0, -abs(change[one]), one))
    )


class _Picks:
    """What a side would run first. Of a tie, the one that shows the flip; then the one that was written first."""

    def __init__(self, measured: Measured) -> None:
        self._of: dict[str, list[tuple[float, int]]] = {}
        self._rows = measured.rows.candidates
        for i, (row, cost) in enumerate(zip(self._rows, measured.rows.cost(measured.side.ranker), strict=True)):
            self._of.setdefault(row.problem, []).append((float(cost), i))

    def of(self, problem: str, share: float, *, right: bool) -> Pick:
        own = self._of.get(problem)
        if not own:
            return Pick(right=share, source="", outcome="", message="no completion held a program")
        row = self._rows[min(own, key=lambda one: (one[0], self._rows[one[1]].passed != right, one[1]))[1]]
        return Pick(right=share, source=row.source, outcome=row.outcome, message=row.message)


