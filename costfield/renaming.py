"""The gate that a field must not read the names of variables: programs are what they are, whatever they call things.

Its data are twins, made where the model is (`atlas costfield rename`) and kept beside the labels: for some problems,
every candidate read by the model as it was written, and read once more with its variables renamed. Verdicts are those
of the originals, because renaming changes nothing that a machine sees.

Twins lie in the folder `renamed` of the data, as shards like any others. A problem is in them twice, under its own id
and under its id with a mark; both have the same candidates in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from costfield import metrics
from costfield.abstain import binomial_tail
from costfield.card import RENAMING, Gate
from costfield.data import Examples, concat
from costfield.ensemble import Ensemble
from costfield.errors import GateFailed, InvalidExamples
from costfield.metrics import by_problem
from costfield.shards import MANIFEST, append_shard, load_examples

FOLDER, MARK = "renamed", " (renamed)"
SIGNIFICANCE = 0.01  # of honest fields that read no names, one in a hundred is stopped


@dataclass(frozen=True, kw_only=True, eq=False)
class Twins:
    """n candidates as they are and renamed, row for row. Raises `InvalidExamples` where they do not belong together."""

    written: Examples
    exchanged: Examples

    def __post_init__(self) -> None:
        a, b = self.written, self.exchanged
        rows = [list(zip(one.problem.tolist(), one.passed.tolist(), strict=True)) for one in (a, b)]
        if a.fingerprint_id != b.fingerprint_id or rows[0] != rows[1]:
            raise InvalidExamples("renamed candidates do not match the ones that they were made from; make them again")

    @classmethod
    def load(cls, data: Path) -> Twins | None:
        """The twins beside the labels in `data`; None where none were made."""
        folder = data / FOLDER
        if not (folder / MANIFEST).exists():
            return None
        both = load_examples(folder)
        marked = np.char.endswith(both.problem, MARK)
        written, exchanged = (both.take(np.flatnonzero(which)) for which in (~marked, marked))
        names = np.array([name.removesuffix(MARK) for name in exchanged.problem.tolist()])
        return cls(written=written, exchanged=replace(exchanged, problem=names))

    def save(self, data: Path) -> None:
        """Add these twins to those beside the labels in `data`, all in one step."""
        names = [f"{name}{MARK}" for name in self.exchanged.problem.tolist()]
        both = concat([self.written, replace(self.exchanged, problem=np.array(names))])
        append_shard(data / FOLDER, both, purpose="evaluation")


def renaming_is_harmless(examples: Examples, twins: Twins, trained: Callable[[Examples], Ensemble]) -> Gate:
    """Train without the twins' problems, and let the field choose among the candidates as they are and renamed.

    The two choices may differ, since a model finds other words likelier; but then the new choice must be as good as the
    old one. Of the problems in which only one of both is right, about as many must be gained as lost: the exact
    one-sided sign test (McNemar, Psychometrika 12, 1947). `trained(rows)` trains on rows.
    Raises `GateFailed`; `InvalidExamples` where the twins are of another kind than the data; ValueError where none of
    their problems is mixed.
    """
    written, exchanged = (_columns_of(examples, part) for part in (twins.written, twins.exchanged))
    ensemble = trained(_without(examples, written))
    before, after = (
        by_problem(ensemble.estimate(part).cost, written.passed, written.codes()) for part in (written, exchanged)
    )
    mixed = metrics.some_mixed(before)
    lost = int((before.selected > after.selected)[mixed].sum())
    won = int((before.selected < after.selected)[mixed].sum())
    p = binomial_tail(won, lost + won, 0.5) if lost > won else 1.0
    was, now = metrics.selection_accuracy(before), metrics.selection_accuracy(after)
    told = (
        f"selection {was:.3f} as written, {now:.3f} renamed, on {int(mixed.sum())} mixed problems; "
        f"{lost} lost, {won} gained, p = {p:.3f}"
    )
    if p < SIGNIFICANCE:
        raise GateFailed(f"renaming variables makes the choice worse ({told}): the field reads names, not programs")
    return Gate(name=RENAMING, detail=told)


def _columns_of(examples: Examples, twin: Examples) -> Examples:
    """The columns that are trained on, of rows that may hold more."""
    if twin.fingerprint_id != examples.fingerprint_id:
        raise InvalidExamples(
            f"the renamed candidates have fingerprints {twin.fingerprint_id!r}, the data has "
            f"{examples.fingerprint_id!r}: make them again with the model that the data is from"
        )
    twin = twin.with_scalars(examples.scalar_names)
    return replace(twin, embeddings=twin.embeddings[:, : examples.dims])


def _without(examples: Examples, held_out: Examples) -> Examples:
    """The rows whose problems are neither held out nor near-duplicates of such."""
    groups = {*held_out.group.tolist(), *examples.group[np.isin(examples.problem, held_out.problem)].tolist()}
    return examples.take(np.flatnonzero(~np.isin(examples.group, sorted(groups))))
