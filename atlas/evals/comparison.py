"""What a comparison of two runs says, for a file and as text for people. `atlas.evals.compare` makes it."""

from __future__ import annotations

from typing import Literal

from atlas.evals.measures import Interval
from sandbox.types import Frozen

LEVEL = 0.05


class Side(Frozen):
    """One side of a comparison: a run, the ranker that chooses in it, and what made it."""

    run: str
    ranker: str
    model: str
    cost_field: str


class Difference(Frozen):
    """One metric on the problems that both sides say it of.

    `p` is of the exact McNemar test where each problem says yes or no once on both sides, of flipped signs elsewhere;
    `p_holm` is the same, adjusted for the number of metrics. `detectable` is the least true difference that so many
    problems show four times of five, `problems_needed` how many would so show a difference as large as the one seen.
    """

    a: Interval
    b: Interval
    difference: Interval
    better: Literal["higher", "lower"]
    test: Literal["mcnemar", "sign-flip"]
    gained: int
    lost: int
    p: float
    p_holm: float
    detectable: float | None
    problems_needed: int | None

    @property
    def worse(self) -> bool:
        """Whether B is shown to be worse."""
        loss = self.difference.value if self.better == "lower" else -self.difference.value
        return loss > 0 and self.p_holm < LEVEL


class Pick(Frozen):
    """The program that a side would run first, and how likely it passes (a tie of right and wrong ones: a share)."""

    right: float
    source: str
    outcome: str
    message: str


class Flip(Frozen):
    """A problem that one side solves with its first run and the other does not."""

    problem: str
    prompt: str
    change: float
    a: Pick
    b: Pick


class Comparison(Frozen):
    """Everything about B against A. `left_out`: problems that could not be paired, and why.

    `regression`: B is shown to be worse in some metric. `ok` is False for it, and where B's pass@1 is below
    `fail_under`.
    """

    schema_version: Literal[1] = 1
    a: Side
    b: Side
    problems: int
    left_out: dict[str, str]
    metrics: dict[str, Difference]
    flips: tuple[Flip, ...]
    fail_under: float | None
    regression: bool
    ok: bool


def compared(comparison: Comparison) -> str:
    """The comparison as text: one line a metric, then the flipped problems by name."""
    one = comparison
    head = ["", f"A {one.a.ranker}", f"B {one.b.ranker}", "B - A", "95%", "p", "p Holm", "n", "least shown", "needed"]
    rows = [head]
    for name, d in one.metrics.items():
        rows.append(
            [
                name, f"{d.a.value:.3f}", f"{d.b.value:.3f}", f"{d.difference.value:+.3f}",
                f"[{d.difference.low:+.3f}, {d.difference.high:+.3f}]", f"{d.p:.3g}", f"{d.p_holm:.3g}",
                str(d.difference.n), "-" if d.detectable is None else f"{d.detectable:.3f}",
                "-" if d.problems_needed is None else str(d.problems_needed),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lost = [flip.problem for flip in one.flips if flip.change < 0]
    gained = [flip.problem for flip in one.flips if flip.change > 0]
    lines.append(f"\n{one.problems} problems in common, {len(one.left_out)} left out")
    lines += [f"B loses {len(lost)}: {', '.join(lost)}"] if lost else []
    lines += [f"B gains {len(gained)}: {', '.join(gained)}"] if gained else []
    worse = [name for name, d in one.metrics.items() if d.worse]
    lines += [f"B is shown to be worse in {', '.join(worse)}"] if worse else []
    below = one.fail_under is not None and one.metrics["pass_at_1"].b.value < one.fail_under
    lines += [f"B's pass@1 is below {one.fail_under}"] if below else []
    return "\n".join(lines)
