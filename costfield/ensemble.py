"""Fitted networks with all they need to turn raw fingerprints into costs: feature statistics, members, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from costfield.calibrate import Calibration
from costfield.data import Examples, Floats, Ints
from costfield.errors import InvalidFingerprint
from costfield.experts import Mixture
from costfield.features import FeatureMap

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """What an ensemble says of n candidates. All (n,) float64 and finite."""

    cost: F64  # −logit P(pass); lower is better
    p_pass: F64  # calibrated probability that the candidate is right
    spread: F64  # standard deviation of the members' calibrated logits: how far they disagree
    task_logit: F64  # difficulty alone, the same for all siblings; higher is easier


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """`members` (at least 2) read what `features` makes of raw fingerprints; their mean logits are calibrated."""

    features: FeatureMap
    members: nn.ModuleList
    calibration: Calibration
    history: tuple[tuple[float, ...], ...] = ()  # each member's validation loss after each epoch; not saved

    def __call__(self, embeddings: Floats, scalars: Floats, task: Ints) -> Estimates:
        """(n, d), (n, s) and task codes 0..t-1, each used -> costs. Siblings are compared within their task only.

        Raises `InvalidFingerprint` rather than return a cost that is not finite.
        """
        b, r = member_logits(self.members, self.features, embeddings, scalars, task)  # (m, n) each
        logits = self.calibration(b, r)
        logit = logits.mean(axis=0)
        if not np.isfinite(logits).all():
            raise InvalidFingerprint("fingerprints so far from the training data that their cost is not finite")
        return Estimates(
            cost=-logit,
            p_pass=1 / (1 + np.exp(-np.clip(logit, -700, 700))),
            spread=logits.std(axis=0, ddof=1),
            task_logit=self.calibration(b.mean(axis=0), np.zeros(b.shape[1])),
        )

    def estimate(self, examples: Examples) -> Estimates:
        """Costs of every row, each problem's rows taken as siblings."""
        return self(examples.embeddings, examples.scalars, examples.codes())

    @torch.no_grad()
    def routes(self, embeddings: Floats, scalars: Floats, task: Ints) -> tuple[F64, F64] | None:
        """What the members' routers say of t tasks: probabilities (m, t, E) and levels (m, E), hardest expert first.

        None for an ensemble without experts.
        """
        mixtures = [member for member in self.members.eval() if isinstance(member, Mixture)]
        if not mixtures:
            return None
        rank, level = (torch.from_numpy(view) for view in self.features(embeddings, scalars, task))
        orders = [mixture.hardest_first() for mixture in mixtures]
        says = [mixture(rank, level, torch.from_numpy(task)).route for mixture in mixtures]
        route = torch.stack([one[:, order] for one, order in zip(says, orders, strict=True)])
        levels = torch.stack([mixture.level[order] for mixture, order in zip(mixtures, orders, strict=True)])
        return route.double().numpy(), levels.double().numpy()


@torch.no_grad()
def member_logits(
    members: nn.ModuleList, features: FeatureMap, embeddings: Floats, scalars: Floats, task: Ints
) -> tuple[F64, F64]:
    """Each member's task logit (m, n), repeated for all siblings, and rank logit (m, n). Dropout off, uncalibrated.

    Equal siblings are costed once: a hidden layer rounds the last rows of an array otherwise than the others.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # whoever asks checks that the logits are finite
        rank, level = features(embeddings, scalars, task)
    first, back = _distinct(rank, task)
    views = torch.from_numpy(rank[first]), torch.from_numpy(level), torch.from_numpy(task[first])
    members.eval()
    says = [member(*views) for member in members]
    b = torch.stack([say.task for say in says]).double().numpy()[:, task]
    return b, torch.stack([say.rank for say in says]).double().numpy()[:, back]


def _distinct(rank: Floats, task: Ints) -> tuple[Ints, Ints]:
    """Rows of (n, R) and (n,) that differ from all before them (u,), and for each row which of those it equals (n,)."""
    keys = np.ascontiguousarray(np.column_stack([task, rank + np.float32(0)]))  # −0 + 0 is 0
    rows = keys.view(np.dtype((np.void, keys.itemsize * keys.shape[1]))).ravel()
    _, first, back = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they came: sorted by bytes they would lie in memory at random
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[back]
