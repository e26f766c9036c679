"""The report: one HTML file that needs nothing else, from a run's results and rows.

Programs, prompts and messages come from hostile models. Every string goes through two doors on its way into the page:
what would fool a reader's eye is replaced (`console.safe`), then HTML's own signs are escaped. The page's policy allows
no script, no address and no style but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from atlas.console import safe
from atlas.evals.commands import read_results
from atlas.evals.compare import compare
from atlas.evals.comparison import Comparison
from atlas.evals.evaluate import RESULTS
from atlas.evals.flips import Measured
from atlas.evals.measures import Interval, RankerResults
from atlas.evals.report import charts
from atlas.evals.report.changes import Line, changes
from atlas.evals.results import Results
from atlas.evals.rows import CANDIDATES, ORACLE, PROBLEMS, RANDOM, CandidateRow, Rows
from costfield.bootstrap import RESAMPLES
from costfield.shards import replace_file

HERE = Path(__file__).parent
REPORT = "report.html"
MOST_WORST, MOST_FLIPS, MOST_NAMED = 20, 40, 200
MOST_PROMPT = 2_000
NAMES = {
    "cost-field": "Cost Field", "log-probability": "mean log-probability", "agreement": "agreement (medoid)",
    RANDOM: "random (expected)", ORACLE: "oracle", "pass_at_1": "pass@1", "selection": "selection on mixed",
    "within_auroc": "AUROC within", "first_pass_runs": "rank of first pass",
    "sampled_pass_at_1": "pass@1 of any completion", "oracle_pass_at_1": "pass@1 of the oracle",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One ranker in the headline table."""

    name: str
    style: str
    results: RankerResults
    pass_at_1: Markup
    selection: Markup | None
    ahead: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A problem whose first run failed although a right program was there, and how the two differ."""

    problem: str
    prompt: str
    outcome: str
    message: str
    said: float | None
    lines: list[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A flipped problem, and how B's program differs from A's."""

    problem: str
    prompt: str
    change: float
    a: str
    b: str
    lines: list[Line]


def write_report(folder: Path, against: str | None = None) -> Path:
    """Write `report.html` into the run's folder. `against`: the run, or RUN:ranker, that it is compared with.

    Raises ConfigError where either is not finished.
    """
    path = folder / REPORT
    replace_file(path, render(folder, against).encode())
    return path


def render(folder: Path, against: str | None = None) -> str:
    """The page of the run in `folder`. The same files give the same page, byte for byte."""
    found, rows = read_results(folder), Rows.read(folder)
    versus = compare(Measured.read(against), Measured.read(str(folder))) if against else None
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (RESULTS, PROBLEMS, CANDIDATES)}
    return page(found, rows, files, versus)


def page(found: Results, rows: Rows, files: dict[str, str], versus: Comparison | None = None) -> str:
    """The page from what is read already. `files`: SHA-256 of what it was made of."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_clean,
    )
    environment.filters |= {"figure": figure, "within": within, "percent": charts.percent, "label": label}
    style = (HERE / "style.css").read_text(encoding="utf-8")
    leader = found.rankers[found.leader]
    worst = worst_picks(rows, found.leader)
    return environment.get_template("page.html").render(
        found=found, leader=leader, chance=found.rankers[RANDOM], best=found.rankers[ORACLE],
        style=Markup(style), style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        table=_table(found), curve=charts.solved_curve(_series(found)), series=_series(found),
        reliability=charts.reliability(leader.calibration.reliability) if leader.calibration else None,
        risk=charts.risk_coverage(leader.calibration.risk_coverage) if leader.calibration else None,
        worst=worst[:MOST_WORST], worst_in_all=len(worst), files=files, versus=versus,
        turned=_turned(versus)[:MOST_FLIPS] if versus else [], named=MOST_NAMED, resamples=RESAMPLES,
    )


def figure(one: Interval | None, digits: int = 3) -> str:
    """A value as text; a dash where there is none."""
    return "–" if one is None else f"{one.value:.{digits}f}"


def within(one: Interval | None, digits: int = 3) -> str:
    """Its 95% interval and its number of problems as text."""
    return "" if one is None else f"[{one.low:.{digits}f}, {one.high:.{digits}f}], n {one.n}"


def label(name: str) -> str:
    """A ranker's or a metric's name for readers."""
    return NAMES.get(name, name)


def worst_picks(rows: Rows, ranker: str) -> list[Worst]:
    """Where the cheapest candidate fails and a dearer one passes: the surest mistakes first.

    Sure is a high probability where the ranker says one, else a wide gap to the cheapest right program's cost.
    """
    cost = rows.cost(ranker)
    said = rows.scores[ranker].p_pass if ranker in rows.scores else None
    own: dict[str, list[int]] = {}
    for i, row in enumerate(rows.candidates):
        own.setdefault(row.problem, []).append(i)
    found: list[tuple[float, Worst]] = []
    prompts = {row.problem: row.prompt for row in rows.problems}
    for problem, indices in own.items():
        order = sorted(indices, key=lambda i: (cost[i], i))
        right = next((i for i in order if rows.candidates[i].passed), None)
        if right is None or right == order[0]:
            continue
        p = None if said is None or said[order[0]] != said[order[0]] else float(said[order[0]])
        sure = float(cost[right] - cost[order[0]]) if p is None else p
        found.append((sure, _worst(rows.candidates[order[0]], rows.candidates[right], prompts[problem], p)))
    return [one for _, one in sorted(found, key=lambda pair: (-pair[0], pair[1].problem))]


def _worst(pick: CandidateRow, right: CandidateRow, prompt: str, p: float | None) -> Worst:
    return Worst(
        problem=pick.problem, prompt=prompt[:MOST_PROMPT], outcome=pick.outcome, message=pick.message, said=p,
        lines=changes(pick.source, right.source),
    )


def _turned(versus: Comparison) -> list[Turned]:
    return [
        Turned(
            problem=one.problem, prompt=one.prompt[:MOST_PROMPT], change=one.change,
            a=" ".join([one.a.outcome, one.a.message]).strip(), b=" ".join([one.b.outcome, one.b.message]).strip(),
            lines=changes(one.a.source, one.b.source),
        )
        for one in versus.flips
    ]


def _order(found: Results) -> list[str]:
    return sorted(found.rankers, key=lambda name: (-found.rankers[name].pass_at_1.value, name))


def _style(found: Results, name: str) -> str:
    """The class of a ranker's marks: its own for the leader, random choice and the oracle, else one by position."""
    if name in (RANDOM, ORACLE):
        return name
    if name == found.leader:
        return "leader"
    others = [one for one in found.rankers if one not in (RANDOM, ORACLE, found.leader)]
    return f"s{others.index(name) % 5}"


def _series(found: Results) -> list[charts.Series]:
    """The leader last, so that nothing covers it."""
    names = sorted(_order(found), key=lambda name: name == found.leader)
    return [
        charts.Series(
            name=label(name), style=_style(found, name), band=name == found.leader,
            points=tuple((float(run), one) for run, one in enumerate(found.rankers[name].solved_within, 1)),
        )
        for name in names
    ]


def _table(found: Results) -> list[Row]:
    solved = [one.pass_at_1 for one in found.rankers.values()]
    chosen = [one.selection for one in found.rankers.values() if one.selection]
    chance = found.rankers[RANDOM]
    return [
        Row(
            name=name, style=_style(found, name), results=one, ahead=found.ahead.get(name),
            pass_at_1=_whisker(one.pass_at_1, solved, _style(found, name), chance.pass_at_1),
            selection=_whisker(one.selection, chosen, _style(found, name), chance.selection) if one.selection else None,
        )
        for name in _order(found)
        if (one := found.rankers[name])
    ]


def _whisker(one: Interval, all_of_them: Sequence[Interval], style: str, chance: Interval | None) -> Markup:
    low, high = min(other.low for other in all_of_them), max(other.high for other in all_of_them)
    reference = chance.value if chance else None
    return charts.whisker(one, low, high if high > low else low + 1, style=style, reference=reference)


def _clean(value: object) -> object:
    return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value
