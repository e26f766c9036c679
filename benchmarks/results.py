"""The published results, made again from what the runs have kept: every candidate, its verdict and each ranker's cost.

    python benchmarks/results.py --json [--write] [--runs FOLDER] [--page docs/results.md]

Needs no model, data set or sandbox. A run whose `results.json` is not what its rows say, and what `loops/*.jsonl.gz`
say of each problem that a loop played, is an error. `--write` puts the tables into the page, between its marks; without
it a page that says anything else is an error too. The last line is a JSON object: for each run its problems, the mixed
ones, and selection by ranker.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import Any

from atlas.errors import ConfigError
from atlas.evals.commands import read_results
from atlas.evals.loop_results import Looped, LoopResults, loop_results
from atlas.evals.measures import Interval
from atlas.evals.results import Results, summary
from atlas.evals.rows import Rows

ROOT = Path(__file__).parents[1]
RUNS, PAGE = ROOT / "benchmarks" / "runs", ROOT / "docs" / "results.md"
BEGIN, END = "<!-- begin: benchmarks/results.py -->\n", "<!-- end: benchmarks/results.py -->"


def again(folder: Path) -> Results:
    """The results of a run, computed anew from its rows. Raises ConfigError where its own file says anything else."""
    told, rows = read_results(folder), Rows.read(folder)
    found = summary(rows, told.config, told.provenance, excluded=told.excluded, infrastructure=told.infrastructure)
    loops = {name: _played(folder, name, one) for name, one in told.loops.items()}
    if found.model_copy(update={"loops": loops}) != told:
        raise ConfigError(f"{folder} says other results than its rows do; measure it again (atlas eval resume)")
    return told


def _played(folder: Path, name: str, told: LoopResults) -> LoopResults:
    """What a loop came to, from what it did on each problem. Raises ConfigError where that was not kept."""
    try:
        lines = gzip.decompress((folder / "loops" / f"{name}.jsonl.gz").read_bytes()).splitlines()
    except FileNotFoundError as error:
        raise ConfigError(f"what the loop {name} did is not kept: there is no {error.filename}") from None
    found = [Looped.model_validate_json(line) for line in lines]
    return loop_results(told.setup, found, told.excluded, told.infrastructure)


def section(name: str, found: Results) -> str:
    """One run in Markdown."""
    chosen = found.rankers[found.leader]
    said = (
        f"{found.tasks} problems, {found.mixed} of them mixed, {found.solvable} with a right candidate; "
        f"{found.candidates:,} different programs in {found.completions:,} completions, k = {found.config.k}, "
        f"temperature {found.config.temperature}{', the first at 0' if found.config.greedy_first else ''}, "
        f"seed {found.config.seed}; judged in "
        f"{' and '.join(found.isolation)}, {found.weak} weakly."
    )
    lines = [f"## {name}", "", said, "", *_rankers(found), ""]
    if chosen.calibration:
        lines += [
            f"P(pass) of {found.leader}: expected calibration error {_ci(chosen.calibration.ece)}, for the candidate "
            f"that is run {_ci(chosen.calibration.ece_chosen)}; Brier {_ci(chosen.calibration.brier)}.",
            "",
        ]
    if found.loops:
        lines += [*_loops(found.loops), ""]
    left = {**found.excluded, **found.infrastructure}
    lines += [f"Not in these figures: {id_}: {why}" for id_, why in left.items()]
    lines += [f"Measured without a part: {id_}: {why}" for id_, why in found.notes.items()]
    return "\n".join(lines).rstrip() + "\n"


def _rankers(found: Results) -> list[str]:
    order = sorted(found.rankers.items(), key=lambda item: (-item[1].pass_at_1.value, item[0]))
    lines = [
        f"| ranker | pass@1, n {found.tasks} | selection, n {found.mixed} | {found.leader} − this, paired | gap closed "
        "| AUROC within | runs until right |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in order:
        shown = (one.pass_at_1, one.selection, found.ahead.get(name), one.gap_closed, one.within_auroc)
        cells = [_ci(value, signed=value is shown[2]) for value in (*shown, one.first_pass_runs)]
        lines.append(f"| {'**' + name + '**' if name == found.leader else name} | {' | '.join(cells)} |")
    return lines


def _loops(loops: dict[str, LoopResults]) -> list[str]:
    lines = [
        "| loop | solved | handed out wrong | runs a solved task | tokens a solved task | rounds | completions |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in loops.values():
        budget = one.setup.budget
        rounds = "one round" if budget.rounds == 1 else f"at most {budget.rounds} rounds"
        name = f"{one.setup.policy}, {rounds} of {budget.candidates} candidates"
        shown = (one.sandbox_runs_per_solved, one.tokens_per_solved, one.rounds, one.completions)
        cells = [_ci(one.solved), _ci(one.handed_out_wrong), *(_ci(value, digits=2) for value in shown)]
        lines.append(f"| {name}, n {one.problems} | {' | '.join(cells)} |")
    return lines


def _ci(one: Interval | None, *, digits: int = 3, signed: bool = False) -> str:
    if one is None:
        return ""
    sign = "+" if signed else ""
    value = f"{one.value:{sign}.{digits}f}"
    return value if one.method == "exact" else f"{value} [{one.low:{sign}.{digits}f}, {one.high:{sign}.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="a JSON object as the last line, which is printed anyway")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    told: dict[str, Any] = {}
    sections = []
    for folder in sorted(path.parent for path in asked.runs.glob("*/results.json")):
        found = again(folder)
        sections.append(section(folder.name, found))
        told[folder.name] = {"problems": found.tasks, "mixed": found.mixed, "selection": found.selection}
    page = asked.page.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not sections or not begin or not end:
        raise ConfigError(f"there are no runs in {asked.runs}, or {asked.page} has no marks for them")
    made = before + BEGIN + "\n".join(sections) + END + after
    print("\n".join(sections))
    if asked.write:
        asked.page.write_text(made, encoding="utf-8")
    elif made != page:
        raise ConfigError(f"{asked.page} says something else; put these tables into it with --write")
    print(json.dumps(told))


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"error: {error}")
