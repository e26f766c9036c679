"""Rules that no honest field breaks. Training checks each and refuses to hand out a field that breaks one.

The prompt-only and the shuffled-labels gates would have caught every inflated number we know of: a field that scores
well by recognising problems, and a split that lets siblings of one problem stand on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from costfield import metrics
from costfield.card import Gate
from costfield.data import Examples, split
from costfield.ensemble import Estimates
from costfield.errors import GateFailed
from costfield.metrics import by_problem

F64 = npt.NDArray[np.float64]
PERMUTATIONS = 10_000
SIGNIFICANCE = 1e-3  # a sound run fails the shuffled gate about once in a thousand data sets
DEAD_SHARE = 0.5


def prompt_only_is_chance(examples: Examples, task_logit: F64) -> Gate:
    """What the difficulty head says must be equal for all siblings, and so rank them at chance exactly."""
    table = by_problem(-task_logit, examples.passed, examples.codes())
    selection, chance = metrics.selection_accuracy(table), metrics.random_accuracy(table)
    auroc = metrics.within_auroc(table)
    if abs(selection - chance) > 1e-12 or auroc != 0.5:
        raise GateFailed(
            f"the difficulty head tells siblings apart (selection {selection:.3f}, chance {chance:.3f}, within-problem "
            f"AUROC {auroc:.3f}): something of the candidate leaks into what should describe the task only"
        )
    return Gate(name="prompt-only is chance", detail=f"selection {selection:.4f} = chance, within-problem AUROC 0.5")


def identical_are_tied(examples: Examples, estimate: Callable[[Examples], Estimates]) -> Gate:
    """Siblings with one and the same fingerprint must cost exactly the same: no order of rows, no rounding decides."""
    first = np.unique(examples.codes(), return_index=True)[1][examples.codes()]
    same = replace(examples, embeddings=examples.embeddings[first], scalars=examples.scalars[first])
    apart = _range_within(same.codes(), estimate(same).cost)
    if apart.max() > 0:
        raise GateFailed(f"identical siblings differ in cost by up to {apart.max():.3g}: something but them is read")
    return Gate(name="identical siblings are tied", detail=f"in all {len(apart)} problems")


def shuffled_is_chance(
    examples: Examples,
    costs_of: Callable[[Examples, Examples], F64],
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Gate:
    """Train and measure on labels shuffled within each problem: nothing is left to learn, so selection must be chance.

    `costs_of(training, held_out)` trains on the one half of the problems and returns the costs of the other half's
    rows. The reference distribution shuffles the held-out labels again under the same costs: exact for any costs, as
    those labels trained nothing (in cross-validation they would have, and honest recipes would fail). Two-sided, since
    siblings on both sides of a split push selection *below* chance.
    """
    rng = np.random.default_rng(seed)
    shuffled = replace(examples, passed=shuffled_within(examples, rng), fault=None)
    training, held_out = split(shuffled, (0.5, 0.5), seed)
    table = by_problem(costs_of(training, held_out), held_out.passed, held_out.codes())
    measured, centre = metrics.selection_accuracy(table), metrics.random_accuracy(table)
    # Permuting labels moves only how many of the `tied` cheapest are right: a hypergeometric draw for each problem.
    right, of, tied = (column[table.mixed].astype(np.int64) for column in (table.passes, table.candidates, table.tied))
    draws = (rng.hypergeometric(right, of - right, tied, size=(permutations, len(of))) / tied).mean(axis=1)
    as_far = np.abs(draws - centre) >= abs(measured - centre) - 1e-12
    p = (1 + int(as_far.sum())) / (1 + permutations)  # Phipson & Smyth 2010: never 0
    if p < SIGNIFICANCE:
        raise GateFailed(
            f"with labels shuffled within problems the field still selects at {measured:.3f} where chance is "
            f"{centre:.3f} (p = {p:.4f}): a label leaks into the features or across the split"
        )
    return Gate(name="shuffled labels are chance", detail=f"selection {measured:.4f}, chance {centre:.4f}, p = {p:.3f}")


def field_is_alive(examples: Examples, cost: F64) -> Gate:
    """Costs must differ within tasks: a field that gives all siblings the same cost chooses nothing, quietly."""
    codes = examples.codes()
    several = np.bincount(codes) > 1
    dead = float((_range_within(codes, cost) < 1e-6)[several].mean()) if several.any() else 1.0
    if dead > DEAD_SHARE:
        raise GateFailed(
            f"the field gives all siblings the same cost in {dead:.0%} of problems: it is dead. Are the fingerprints "
            "of siblings equal, or is every feature that tells them apart left out?"
        )
    return Gate(name="field is alive", detail=f"costs differ within {1 - dead:.1%} of problems")


def _range_within(codes: npt.NDArray[np.int64], cost: F64) -> F64:
    """(q,) dearest less cheapest cost of each problem."""
    low, high = np.full(codes.max() + 1, np.inf), np.full(codes.max() + 1, -np.inf)
    np.minimum.at(low, codes, cost)
    np.maximum.at(high, codes, cost)
    return high - low


def shuffled_within(examples: Examples, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(n,) the labels, permuted within each problem: solve rates stay, what made a candidate right is gone."""
    codes = examples.codes()
    out = np.empty_like(examples.passed)
    out[np.argsort(codes, kind="stable")] = examples.passed[np.lexsort((rng.random(len(codes)), codes))]
    return out
