"""`atlas eval resume`: what a run was asked, read from its folder, and whether anything of it is missing."""

from __future__ import annotations

from pathlib import Path

from atlas.errors import ConfigError
from atlas.evals.asked import Asked
from atlas.evals.commands import Plan, read_results
from atlas.evals.evaluate import RESULTS
from atlas.evals.results import Results
from atlas.evals.rows import CANDIDATES, Rows
from atlas.evals.run import Run
from atlas.evals.stages import Concurrency


def stored_plan(folder: Path, *, cache: Path | None = None, limits: Concurrency | None = None) -> Plan:
    """The plan of the run in `folder`. Raises ConfigError where there is none, or it does not say what it is of."""
    config, asked = Run.read(folder).config, Asked.read(folder)
    if asked is None:
        raise ConfigError(f"{folder} does not say which problems it is of; name them with `atlas eval run --run`")
    return Plan(
        datasets=asked.datasets, folder=folder, data=tuple(Path(one) for one in asked.data), cache=cache,
        sha256=asked.sha256, limit=asked.limit, ids=asked.ids, k=config.k, temperature=config.temperature,
        top_p=config.top_p, max_tokens=config.max_tokens, seed=config.seed, greedy_first=config.greedy_first,
        limits=limits or Concurrency(),
    )


def finished(plan: Plan) -> Results | None:
    """The results of a run in which nothing is missing; None where there is something left to do.

    Neither model nor sandbox is needed to tell. Raises ConfigError where a data set is missing or altered.
    """
    if not (plan.folder / RESULTS).exists() or not (plan.folder / CANDIDATES).exists():
        return None
    found, loaded = read_results(plan.folder), plan.load()
    done = {row.problem for row in Rows.read(plan.folder).problems} | found.excluded.keys()
    same = {dataset.name: dataset.sha256 for dataset in loaded}.items() <= found.config.datasets.items()
    whole = {problem.id for problem in plan.problems(loaded)} <= done and not found.infrastructure
    return found if same and whole else None
