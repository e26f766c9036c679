"""Measure costs against labels: every metric with its interval, and the baselines beside it on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from costfield import metrics
from costfield.baselines import COLUMNS, baseline_costs
from costfield.bootstrap import RESAMPLES, Estimate, bootstrap_mean, bootstrap_rows, paired_difference
from costfield.data import Examples
from costfield.metrics import ByProblem, ReliabilityBin, by_problem

F64 = npt.NDArray[np.float64]


class Compared(BaseModel):
    """A baseline on the rows of an evaluation, and how much more often the field's cheapest is right (paired)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    selection: Estimate
    within_auroc: Estimate
    field_minus_this: Estimate

    @property
    def beaten(self) -> bool:
        """Whether the paired 95% interval lies above 0."""
        return self.field_minus_this.low > 0


class Evaluation(BaseModel):
    """What a field's costs are worth on problems it was not trained on. Rates are over mixed problems unless said."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    problems: int
    mixed: int
    candidates: int
    selection: Estimate
    random: float
    gap_closed: Estimate
    within_auroc: Estimate
    within_auroc_pairs: Estimate
    first_pass_rank: Estimate  # over problems with a right candidate
    pooled_auroc: Estimate  # all rows; mostly difficulty, decides nothing
    difficulty_pooled_auroc: float  # what knowing each problem's solve rate alone would get: the pooled yardstick
    brier: Estimate  # all rows, each problem weighing the same, as for ece
    ece: Estimate
    ece_cheapest: Estimate  # calibration of the one candidate that is run, over all problems
    aurc: float  # risk-coverage area of that candidate, over all problems
    reliability: tuple[ReliabilityBin, ...]
    baselines: dict[str, Compared]


def evaluate(
    examples: Examples,
    cost: F64,
    p_pass: F64,
    *,
    columns: Mapping[str, str] = COLUMNS,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Measure (n,) costs and probabilities on labelled rows. Deterministic given the seed.

    Raises ValueError when no problem is mixed: then nothing about selection can be said.
    """
    codes, right = examples.codes(), examples.passed
    table = by_problem(cost, right, codes)
    mixed = metrics.some_mixed(table)
    equal = 1.0 / table.candidates[codes]  # (n,) each problem's rows sum to 1
    mean = partial(bootstrap_mean, seed=seed, resamples=resamples)
    rows = partial(_of_rows, seed=seed, resamples=resamples)
    p_cheapest, share_right = cheapest(table, cost, p_pass, codes)
    return Evaluation(
        problems=len(table.problem),
        mixed=int(mixed.sum()),
        candidates=len(examples),
        selection=mean(table.selected[mixed]),
        random=metrics.random_accuracy(table),
        gap_closed=mean((table.selected - table.random)[mixed], (1 - table.random)[mixed]),
        within_auroc=mean(table.wins[mixed] / table.pairs[mixed]),
        within_auroc_pairs=mean(table.wins[mixed], table.pairs[mixed]),
        first_pass_rank=mean(table.first_pass[table.passes > 0]),
        pooled_auroc=rows(metrics.pooled_auroc, cost, right, np.ones(len(examples)), codes),
        difficulty_pooled_auroc=metrics.pooled_auroc(-table.random[codes], right),
        brier=rows(metrics.brier, p_pass, right, equal, codes),
        ece=rows(metrics.ece, p_pass, right, equal, codes),
        ece_cheapest=rows(metrics.ece, p_cheapest, share_right, np.ones(len(mixed)), table.problem),
        aurc=metrics.aurc(p_cheapest, share_right),
        reliability=metrics.reliability(p_pass, right, equal),
        baselines=compare(examples, table, columns, seed=seed, resamples=resamples),
    )


def _of_rows(
    statistic: metrics.RowStatistic,
    values: F64,
    right: npt.ArrayLike,
    weight: F64,
    problem: npt.ArrayLike,
    *,
    seed: int,
    resamples: int,
) -> Estimate:
    return bootstrap_rows(lambda w: statistic(values, right, w), weight, problem, seed=seed, resamples=resamples)


def compare(
    examples: Examples, field: ByProblem, columns: Mapping[str, str], *, seed: int, resamples: int
) -> dict[str, Compared]:
    """Every baseline that the data has columns for, on the same mixed problems, paired with the field."""
    mixed = field.mixed
    compared = {}
    for name, cost in baseline_costs(examples, columns).items():
        table = by_problem(cost, examples.passed, examples.codes())
        compared[name] = Compared(
            selection=bootstrap_mean(table.selected[mixed], seed=seed, resamples=resamples),
            within_auroc=bootstrap_mean((table.wins[mixed] / table.pairs[mixed]), seed=seed, resamples=resamples),
            field_minus_this=paired_difference(
                field.selected[mixed], table.selected[mixed], seed=seed, resamples=resamples
            ),
        )
    return compared


def cheapest(table: ByProblem, cost: F64, p_pass: F64, codes: npt.NDArray[np.int64]) -> tuple[F64, F64]:
    """(q,) probability said of each problem's cheapest candidate, and how often it is right (ties by expectation)."""
    order = np.lexsort((cost, codes))
    first = order[np.searchsorted(codes[order], np.arange(len(table.problem)))]
    return p_pass[first], table.selected
