"""Small charts as inline SVG: marks and classes only, so that the page's style sheet colours them for light and dark.

Every chart takes figures with intervals and returns markup; text in it is escaped. Units are those of the view box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from markupsafe import Markup

from atlas.evals.measures import Interval, ReliabilityPoint, RiskPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart. `style` is the class that the style sheet knows; `band` draws its intervals."""

    name: str
    style: str
    points: tuple[tuple[float, Interval], ...]
    band: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where data lies in a drawing: x from `x0` to `x1` and y from `y0` to `y1`, within margins."""

    x0: float
    x1: float
    y0: float
    y1: float
    width: float = 560.0
    height: float = 340.0
    left: float = 58.0
    right: float = 26.0
    top: float = 12.0
    bottom: float = 50.0

    def x(self, value: float) -> float:
        return round(self.left + (value - self.x0) / (self.x1 - self.x0) * (self.width - self.left - self.right), 2)

    def y(self, value: float) -> float:
        tall = self.height - self.top - self.bottom
        return round(self.height - self.bottom - (value - self.y0) / (self.y1 - self.y0) * tall, 2)


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def solved_curve(series: Sequence[Series]) -> Markup:
    """Share of problems solved (y) against sandbox runs a problem (x), one line a ranker; the last on top."""
    every = [interval for one in series for _, interval in one.points]
    most = max(x for one in series for x, _ in one.points)
    banded = [interval for one in series if one.band for _, interval in one.points]
    low = min([one.value for one in every] + [one.low for one in banded])
    high = max([one.value for one in every] + [one.high for one in banded])
    y0, y1, step = share_axis(low, high)
    frame = Frame(x0=1, x1=max(most, 2), y0=y0, y1=y1)
    runs = [(x, str(x)) for x in range(1, int(most) + 1, max(1, ceil(most / 12)))]
    parts = [_axes(frame, runs, ticks(y0, y1, step), "sandbox runs a problem", "problems solved")]
    for one in series:
        parts += [_band(frame, one.points, one.style)] if one.band else []
    for one in series:
        parts += [_line(frame, one.points, one.style), _dots(frame, one)]
    return _svg(frame, "Share of problems solved against sandbox runs, by ranker", parts)


def reliability(points: Sequence[ReliabilityPoint]) -> Markup:
    """What was said (x) against what was observed (y), with intervals, beside the diagonal of honest probabilities."""
    frame = Frame(x0=0, x1=1, y0=0, y1=1, width=540, height=400)
    fifths = ticks(0, 1, 0.2)
    diagonal = Markup('<line class="honest" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        frame.x(0), frame.y(0), frame.x(1), frame.y(1)
    )
    parts = [_axes(frame, fifths, fifths, "probability said", "share that passed"), diagonal]
    for one in points:
        seen, x = one.observed, frame.x(one.predicted)
        told = f"said {one.predicted:.2f}, {seen.value:.2f} [{seen.low:.2f}, {seen.high:.2f}] passed, {seen.n} problems"
        parts.append(
            Markup('<g class="leader"><title>{}</title><line class="whisker" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                told, x, frame.y(seen.low), x, frame.y(seen.high)
            )
            + Markup('<circle class="dot" cx="{}" cy="{}" r="4"/></g>').format(x, frame.y(seen.value))
        )
    return _svg(frame, "Reliability: probability said against share that passed", parts)


def risk_coverage(points: Sequence[RiskPoint]) -> Markup:
    """Share of wrong answers (y) among those given, against the share of problems that is answered (x)."""
    y0, y1, step = share_axis(0.0, max(one.risk.high for one in points))
    frame = Frame(x0=0, x1=1, y0=y0, y1=y1, width=540, height=400)
    shown = tuple((one.coverage, one.risk) for one in points)
    parts = [
        _axes(frame, ticks(0, 1, 0.2), ticks(y0, y1, step), "problems answered, surest first", "wrong among them"),
        _band(frame, shown, "leader"), _line(frame, shown, "leader"),
    ]
    for one in points:
        told = (
            f"p at least {one.threshold:.2f}: answers {percent(one.coverage)}, {one.risk.value:.2f} "
            f"[{one.risk.low:.2f}, {one.risk.high:.2f}] of {one.risk.n} wrong"
        )
        parts.append(
            Markup('<circle class="dot leader" cx="{}" cy="{}" r="4"><title>{}</title></circle>').format(
                frame.x(one.coverage), frame.y(one.risk.value), told
            )
        )
    return _svg(frame, "Risk against coverage", parts)


def whisker(one: Interval, low: float, high: float, *, style: str, reference: float | None = None) -> Markup:
    """A value with its interval on a short scale from `low` to `high`, for a cell of a table."""
    frame = Frame(
        x0=low, x1=high, y0=0, y1=1, width=112, height=22, left=5, right=5, top=0, bottom=0
    )
    line = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    parts = [line.format("scale", frame.x(low), 11, frame.x(high), 11)]
    if reference is not None:
        parts.append(line.format("reference", frame.x(reference), 1, frame.x(reference), 21))
    parts += [
        line.format(f"whisker {style}", frame.x(one.low), 11, frame.x(one.high), 11),
        Markup('<circle class="dot {}" cx="{}" cy="11" r="4.5"/>').format(style, frame.x(one.value)),
    ]
    return _svg(frame, f"{one.value:.3f}, interval {one.low:.3f} to {one.high:.3f}", parts, style="cell")


def _svg(frame: Frame, title: str, parts: Sequence[Markup], *, style: str = "chart") -> Markup:
    head = Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(
        style, frame.width, frame.height, title
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _axes(
    frame: Frame, across: Sequence[tuple[float, str]], up: Sequence[tuple[float, str]], x_name: str, y_name: str
) -> Markup:
    grid = Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    tick = Markup('<text class="tick {}" x="{}" y="{}">{}</text>')
    axis = Markup('<text class="axis middle" {}>{}</text>')
    left, right, bottom = frame.left, frame.width - frame.right, frame.height - frame.bottom
    parts = [grid.format(left, frame.y(value), right, frame.y(value)) for value, _ in up]
    parts += [tick.format("end", left - 8, frame.y(value) + 4, text) for value, text in up]
    parts += [tick.format("middle", frame.x(value), bottom + 18, text) for value, text in across]
    below = Markup('x="{}" y="{}"').format((left + right) / 2, frame.height - 8)
    beside = Markup('transform="translate(14 {}) rotate(-90)"').format((frame.top + bottom) / 2)
    parts += [axis.format(below, x_name), axis.format(beside, y_name)]
    return Markup("").join(parts)


def _line(frame: Frame, points: Sequence[tuple[float, Interval]], style: str) -> Markup:
    path = " ".join(f"{frame.x(x)},{frame.y(one.value)}" for x, one in points)
    return Markup('<polyline class="line {}" points="{}"/>').format(style, path)


def _band(frame: Frame, points: Sequence[tuple[float, Interval]], style: str) -> Markup:
    above = [f"{frame.x(x)},{frame.y(one.high)}" for x, one in points]
    below = [f"{frame.x(x)},{frame.y(one.low)}" for x, one in reversed(points)]
    return Markup('<polygon class="band {}" points="{}"/>').format(style, " ".join(above + below))


def _dots(frame: Frame, series: Series) -> Markup:
    dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>')
    return Markup("").join(
        dot.format(
            series.style, frame.x(x), frame.y(one.value), 4 if series.band else 2.5,
            f"{series.name}, {x:g} runs: {one.value:.3f} [{one.low:.3f}, {one.high:.3f}], n {one.n}",
        )
        for x, one in series.points
    )


def share_axis(low: float, high: float) -> tuple[float, float, float]:
    """(first, last, step) of at most seven ticks, at round numbers, that hold the shares from `low` to `high`."""
    step = next(one for one in (0.01, 0.02, 0.05, 0.1, 0.2) if high - low <= 5 * one + 1e-9 or one == 0.2)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    if first == last:  # nothing but one value, which may be 1
        first, last = (first - 1, last) if last * step >= 1 else (first, last + 1)
    return first * step, last * step, step


def ticks(first: float, last: float, step: float) -> list[tuple[float, str]]:
    """Every step from `first` to `last` with its label."""
    return [(first + i * step, percent(first + i * step)) for i in range(round((last - first) / step) + 1)]
