"""From raw fingerprints of one or many tasks to what the network reads. numpy; the numbers live in the artifact.

Two views of a task's siblings:
  rank  (n, R)  how each candidate differs from the mean of its siblings: all that can tell siblings apart
  task  (t, S)  that mean itself: equal for all siblings, so it can only say how hard the task is
A field trained on raw fingerprints spends itself on difficulty, which is easy to predict and useless for choosing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from costfield.data import Bools, Examples, Floats, Ints

F64 = npt.NDArray[np.float64]
OVERSAMPLING, POWER_ITERATIONS = 16, 6


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """Statistics of the training problems, and the map that they define. Every array is saved with the weights.

    A feature that never varied in training has scale 0: it is left out, whatever it does later. `optional` scalars
    were missing for some training candidates, so the network knows what their absence means (it reads an
    indicator); any other scalar must be there.
    """

    rank_scale: Floats  # (d,) 1 / within-task standard deviation; with `task_scale` or the bases, × balance
    rank_basis: Floats  # (d, p) principal directions of sibling differences; (d, 0) = none, all d are used
    task_mean: Floats  # (d,)
    task_scale: Floats  # (d,) 1 / standard deviation of task means
    task_basis: Floats  # (d, p') as above, of task means
    scalar_rank_scale: Floats  # (s,)
    scalar_task_mean: Floats  # (s,)
    scalar_task_scale: Floats  # (s,)
    optional: Bools  # (s,)

    @classmethod
    def fit(cls, examples: Examples, components: int | None, embedding_weight: float) -> FeatureMap:
        """Measure the statistics on training rows; each task weighs the same. `components` = None keeps all d.

        Scalars are given variance 1 each and the embedding `embedding_weight` in all: under one L2 penalty, hundreds
        of dimensions of variance 1 would drown the few scalars whenever problems are few.
        """
        task = examples.codes()
        tasks = int(task.max()) + 1
        equal = 1.0 / (np.bincount(task)[task] * tasks)  # (n,) sums to 1, each task alike
        centre = _task_means(examples.embeddings, task, tasks)
        within = examples.embeddings - centre[task]
        size = np.sqrt(equal @ np.square(examples.embeddings, dtype=np.float64))  # (d,)
        rank_scale = _inverse(np.sqrt(equal @ np.square(within, dtype=np.float64)), size)
        task_scale = _inverse(centre.std(axis=0, dtype=np.float64), size)
        task_mean = centre.mean(axis=0, dtype=np.float64).astype(np.float32)

        means, _ = _available_means(examples.scalars, task, tasks)
        apart = np.nan_to_num(examples.scalars - means[task]).astype(np.float64)
        level: F64 = np.nanmean(means, axis=0, dtype=np.float64)
        size = np.sqrt(np.nanmean(np.square(examples.scalars, dtype=np.float64), axis=0))  # (s,)
        rank_basis = _basis(within * rank_scale * np.sqrt(equal * len(task))[:, None], components)
        task_basis = _basis((centre - task_mean) * task_scale, components)
        rank_scale, rank_basis = _balanced(rank_scale, rank_basis, embedding_weight)
        task_scale, task_basis = _balanced(task_scale, task_basis, embedding_weight)
        return cls(
            rank_scale=rank_scale,
            rank_basis=rank_basis,
            task_mean=task_mean,
            task_scale=task_scale,
            task_basis=task_basis,
            scalar_rank_scale=_inverse(np.sqrt(equal @ np.square(apart)), size),
            scalar_task_mean=level.astype(np.float32),
            scalar_task_scale=_inverse(np.nanstd(means, axis=0, dtype=np.float64), size),
            optional=np.atleast_1d(np.isnan(examples.scalars).any(axis=0)),
        )

    def __call__(self, embeddings: Floats, scalars: Floats, task: Ints) -> tuple[Floats, Floats]:
        """(n, d), (n, s) and task codes 0..t-1 -> rank (n, R) and task (t, S) features. All finite.

        A missing optional scalar is put at its siblings' mean (or, where no sibling has it, at the training mean) and
        the indicator columns say so.
        """
        tasks = int(task.max()) + 1
        centre = _task_means(embeddings, task, tasks)
        rank = _project((embeddings - centre[task]) * self.rank_scale, self.rank_basis)
        level = _project((centre - self.task_mean) * self.task_scale, self.task_basis)

        means, missing_share = _available_means(scalars, task, tasks)
        apart = np.nan_to_num(scalars - means[task]) * self.scalar_rank_scale
        offset = np.nan_to_num((means - self.scalar_task_mean) * self.scalar_task_scale)
        gone = (np.isnan(scalars) - missing_share[task])[:, self.optional]
        return (
            np.concatenate([rank, apart, gone], axis=1, dtype=np.float32),
            np.concatenate([level, offset, missing_share[:, self.optional]], axis=1, dtype=np.float32),
        )

    @property
    def widths(self) -> tuple[int, int]:
        """(R, S): how wide the two views are."""
        extra = len(self.optional) + int(self.optional.sum())
        rank = self.rank_basis.shape[1] or len(self.rank_scale)
        task = self.task_basis.shape[1] or len(self.task_scale)
        return rank + extra, task + extra

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Every array by name, for saving."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _task_sums(values: npt.NDArray[np.generic], task: Ints, tasks: int) -> F64:
    """(t, d) sum of each task's rows in float64: a sum of equal float32 values is then exact."""
    order = np.argsort(task, kind="stable")
    starts = np.searchsorted(task[order], np.arange(tasks))
    sums: F64 = np.add.reduceat(values[order], starts, axis=0, dtype=np.float64)
    return sums


def _task_means(values: Floats, task: Ints, tasks: int) -> Floats:
    """(t, d) mean of each task's rows. Equal siblings differ from it by exactly 0."""
    means: Floats = (_task_sums(values, task, tasks) / np.bincount(task)[:, None]).astype(np.float32)
    return means


def _available_means(scalars: Floats, task: Ints, tasks: int) -> tuple[Floats, Floats]:
    """(t, s) mean over the siblings that have the scalar (NaN where none has), and (t, s) share that lack it."""
    gone = np.isnan(scalars)
    lacking = _task_sums(gone, task, tasks)
    have = np.bincount(task)[:, None] - lacking
    totals = _task_sums(np.where(gone, 0, scalars), task, tasks)
    means = np.where(have > 0, totals / np.maximum(have, 1), np.nan)
    return means.astype(np.float32), (lacking / np.bincount(task)[:, None]).astype(np.float32)


def _inverse(deviation: F64, magnitude: F64) -> Floats:
    """1 / deviation; 0 for a feature that varies by no more than float32 rounds values of its `magnitude`."""
    alive = deviation > 1e-6 * np.abs(magnitude) + 1e-30
    scale: Floats = np.where(alive, 1 / np.where(alive, deviation, 1), 0).astype(np.float32)
    return scale


def _balanced(scale: Floats, basis: Floats, weight: float) -> tuple[Floats, Floats]:
    """Scale and basis changed so that the projected embedding has variance `weight` in all."""
    used = basis.shape[1] or max(int((scale > 0).sum()), 1)
    factor = np.float32(math.sqrt(weight / used))
    return (scale, basis * factor) if basis.shape[1] else (scale * factor, basis)


def _project(values: Floats, basis: Floats) -> Floats:
    return values @ basis if basis.shape[1] else values


def _basis(rows: Floats, components: int | None) -> Floats:
    """(d, p) leading principal directions of (m, d) rows, p <= components; projections have mean square 1 overall.

    Subspace iteration on the Gram matrix (Halko, Martinsson & Tropp, SIAM Review 53, 2011): a full decomposition
    costs ten times as much and the trailing directions are thrown away. Seeded, and signs are fixed (largest entry
    positive), so that the same data always gives the same basis.
    """
    d = rows.shape[1]
    if components is None or components >= d:
        return np.zeros((d, 0), np.float32)
    gram = (rows.T @ rows).astype(np.float64)  # (d, d)
    directions = np.random.default_rng(0).standard_normal((d, min(components + OVERSAMPLING, d)))
    for _ in range(POWER_ITERATIONS):
        directions = np.linalg.qr(gram @ directions)[0]
    variance, turn = np.linalg.eigh(directions.T @ gram @ directions)  # ascending
    variance, directions = variance[::-1][:components], (directions @ turn)[:, ::-1][:, :components]
    kept = variance > 1e-10 * gram.trace()  # rows of low rank have fewer directions than asked for
    if not kept.any():
        return np.zeros((d, 0), np.float32)  # embeddings never differ: their scales are 0 as well
    directions, variance = directions[:, kept], variance[kept]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(kept.sum())])
    basis: Floats = (directions / np.sqrt(variance.mean() / len(rows))).astype(np.float32)
    return basis
