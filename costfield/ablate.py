"""Does an option help here? Each one beside what it changes, on the same problems, folds and seeds.

    result = ablate(examples, config)         # all of `OPTIONS`; `plain` is the recipe as it is

For each seed an option and what it is `against` are cross-validated over the same folds. A problem's selection and
AUROC are averaged over seeds, and the difference of the two averages is what has an interval: from resampling problems,
paired (Efron & Tibshirani 1993). Intervals are not corrected for how many options there are: of twenty that change
nothing, one is expected to exclude 0.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from costfield.bootstrap import Estimate, bootstrap_mean, paired_difference
from costfield.card import CodeCard
from costfield.config import TrainConfig
from costfield.data import Examples, require_trainable
from costfield.ensemble import Ensemble
from costfield.errors import InvalidRecipe
from costfield.experts import ExpertLoad
from costfield.metrics import ByProblem, by_problem, random_accuracy
from costfield.options import OPTIONS, PLAIN, bytes_per_row, recipe, stored, with_what_they_are_against
from costfield.train import MIN_MIXED, MIN_PROBLEMS, cross_validate, expert_loads, select_columns

SCHEMA_VERSION = 1
LEAST_SEEDS = 5
F64 = npt.NDArray[np.float64]


class Measured(BaseModel):
    """What one option is worth. Selection and AUROC are within mixed problems, means over seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    says: str
    against: str | None  # None for `plain`
    selection: Estimate
    within_auroc: Estimate
    difference: Estimate | None  # of selection, this − `against`, paired by problem
    auroc_difference: Estimate | None
    over_plain: Estimate | None  # of selection, this − `plain`: what a default is chosen by
    by_seed: tuple[float, ...]  # `difference` of each seed; how far seeds alone move it
    epochs: tuple[float, float] | None  # median epochs until the loss that both reach: this, `against`
    seconds: float  # of processor for one cross-validation, mean over seeds
    bytes_per_row: int  # of embedding in the store
    experts: tuple[ExpertLoad, ...] | None  # loads of the first fold, first seed


class Ablations(BaseModel):
    """ablations.json: every option, and what it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int
    fingerprint_id: str
    data_sha256: str
    candidates: int
    problems: int
    mixed: int
    random: float
    seeds: tuple[int, ...]
    recipe: TrainConfig
    code: CodeCard
    options: dict[str, Measured]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One option under one seed."""

    selected: F64  # (q,) of mixed problems
    auroc: F64  # (q,)
    histories: list[tuple[float, ...]]  # one a member of each fold
    seconds: float
    experts: tuple[ExpertLoad, ...] | None


def ablate(
    examples: Examples,
    config: TrainConfig,
    *,
    names: Sequence[str] = tuple(OPTIONS),
    seeds: int = LEAST_SEEDS,
    told: Callable[[str], object] = lambda _: None,
) -> Ablations:
    """Measure options of `config` on labelled rows; what an option is against is measured with it.

    Raises `InvalidRecipe` for an option that there is not, too few seeds, or a recipe that an option cannot change;
    `InvalidExamples` for data that cannot be trained on.
    """
    _require_sensible(names, seeds)
    require_trainable(examples, problems=MIN_PROBLEMS, mixed=MIN_MIXED)
    examples = select_columns(examples, config)
    chosen = with_what_they_are_against(names, storage=examples.dims > 0)
    recipes = {name: recipe(name, config) for name in chosen}
    sources = {name: stored(name, examples) for name in chosen}
    runs: dict[str, list[_Run]] = {name: [] for name in chosen}
    for seed in range(config.seed, config.seed + seeds):
        for name in chosen:  # seeds outside, so that a slow minute of the machine falls on all options alike
            told(f"seed {seed}: {name}")
            runs[name].append(_run(examples, sources[name], recipes[name].model_copy(update={"seed": seed})))
    table = by_problem(np.zeros(len(examples)), examples.passed, examples.codes())
    return Ablations(
        schema_version=SCHEMA_VERSION,
        fingerprint_id=examples.fingerprint_id,
        data_sha256=examples.digest(),
        candidates=len(examples),
        problems=len(table.problem),
        mixed=int(table.mixed.sum()),
        random=random_accuracy(table),
        seeds=tuple(range(config.seed, config.seed + seeds)),
        recipe=config,
        code=CodeCard.here(),
        options={name: _measured(name, runs, config, bytes_per_row(name, examples.dims)) for name in chosen},
    )


def _require_sensible(names: Sequence[str], seeds: int) -> None:
    if unknown := [name for name in names if name not in OPTIONS]:
        raise InvalidRecipe(f"there is no option {unknown[0]!r}; there are: {', '.join(OPTIONS)}")
    if seeds < LEAST_SEEDS:
        raise InvalidRecipe(f"{seeds} seeds say too little about what chance does: at least {LEAST_SEEDS} are needed")


def _run(examples: Examples, source: Examples | None, config: TrainConfig) -> _Run:
    """Cross-validate. Trained on `source`, measured on the rows as they came: what is served is never stored."""
    kept: list[Ensemble] = []
    begin = time.process_time()
    costs = cross_validate(examples, config, learn_from=source, keep=kept).cost
    seconds = time.process_time() - begin
    table: ByProblem = by_problem(costs, examples.passed, examples.codes())
    mixed = table.mixed
    return _Run(
        selected=table.selected[mixed],
        auroc=table.wins[mixed] / table.pairs[mixed],
        histories=[history for one in kept for history in one.history],
        seconds=seconds,
        experts=expert_loads(examples, config, kept[0]),
    )


def _measured(name: str, runs: Mapping[str, list[_Run]], config: TrainConfig, size: int) -> Measured:
    """One option's figures from the runs of all seeds."""
    ours, against = runs[name], None if name == PLAIN else OPTIONS[name].against
    theirs = runs[against] if against else ours

    def mean(of: list[_Run], what: str) -> F64:
        values: F64 = np.mean([getattr(run, what) for run in of], axis=0)
        return values

    def estimate(what: str) -> Estimate:
        return _rounded(bootstrap_mean(mean(ours, what), seed=config.seed, resamples=config.resamples))

    def gain(what: str, over: list[_Run]) -> Estimate | None:
        pair = mean(ours, what), mean(over, what)
        if against is None:
            return None
        return _rounded(paired_difference(*pair, seed=config.seed, resamples=config.resamples))

    return Measured(
        says=OPTIONS[name].says,
        against=against,
        selection=estimate("selected"),
        within_auroc=estimate("auroc"),
        difference=gain("selected", theirs),
        auroc_difference=gain("auroc", theirs),
        over_plain=gain("selected", runs[PLAIN]),
        by_seed=tuple(float(np.mean(a.selected - b.selected)) for a, b in zip(ours, theirs, strict=True)),
        epochs=epochs_to_the_same_loss(ours, theirs) if against else None,
        seconds=statistics.mean(run.seconds for run in ours),
        bytes_per_row=size,
        experts=ours[0].experts,
    )


def _rounded(e: Estimate) -> Estimate:
    """Without what sums in another order would change: an end of an interval that is 0 must read 0, not 4e-18."""
    return replace(e, value=round(e.value, 9) + 0.0, low=round(e.low, 9) + 0.0, high=round(e.high, 9) + 0.0)


def epochs_to_the_same_loss(ours: Sequence[_Run], theirs: Sequence[_Run]) -> tuple[float, float]:
    """Median epochs that either takes to the lowest validation loss that both reach, over members, folds and seeds."""
    pairs = []
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine.histories, other.histories, strict=True):
            target = max(min(a), min(b))
            pairs.append(tuple(1 + next(i for i, loss in enumerate(one) if loss <= target) for one in (a, b)))
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)
