"""What one candidate's failure says of its siblings: they share a difficulty that the field knows only roughly.

A field's P(pass) is calibrated for each candidate by itself. Given the task, its errors are shared: where the field
took a hard task for an easy one, it did so for every candidate. So the logit of candidate i of a task is a_i + δ with
one δ ~ N(0, task²) for all of them (logistic regression with a random intercept; Breslow & Clayton, JASA 88, 1993),
and a_i is such that P(pass) is what the field said while nothing has failed yet: E[σ(a_i + δ)] = p_i. Each failure of
a sibling j then multiplies the weight of δ by 1 − σ(a_j + δ), as Bayes has it.

Integrals over δ are sums over `NODES` (Gauss-Hermite quadrature: exact for polynomials up to degree 81).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

F64 = npt.NDArray[np.float64]
NODES, _MASS = np.polynomial.hermite_e.hermegauss(41)
LOG_MASS: F64 = np.log(_MASS / _MASS.sum())
GRID = np.linspace(-60, 60, 1201)
"""Logits, close enough for what lies between two of them to be a line to 1e-4."""
EDGE = 1e-6
"""P(pass) is held this far from 0 and 1: certainty would make no evidence count."""
WIDEST = 8.0
"""Logits; more than this no data can tell from infinity."""


class Siblings(BaseModel):
    """How candidates of one task vary, in logits of P(pass), on problems that the field was not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    task: float = Field(ge=0, description="Standard deviation of the error that all candidates of a task share.")
    own: float = Field(ge=0, description="Standard deviation of what the field says among candidates of a task.")

    def anchors(self, p_pass: npt.ArrayLike) -> F64:
        """(n,) the a_i of probabilities p_i: E[σ(a + δ)] rises with a, so that a table of it is read backwards."""
        p = np.clip(np.asarray(p_pass, np.float64), EDGE, 1 - EDGE)
        return np.interp(np.log(p / (1 - p)), _marginal_logits(self.task), GRID)

    def updated(self, p_pass: npt.ArrayLike, failed: npt.ArrayLike) -> F64:
        """(n,) P(pass) of candidates, given that siblings of P(pass) `failed` (m,) were run and did not pass."""
        log_p = _log_sigmoid(self.anchors(p_pass)[..., None] + self.task * NODES)
        weight = LOG_MASS + _log_sigmoid(-self.anchors(failed)[..., None] - self.task * NODES).sum(0)
        weight = np.exp(weight - weight.max())
        mean: F64 = np.exp(log_p) @ (weight / weight.sum())
        return mean

    @classmethod
    def fit(cls, p_pass: npt.ArrayLike, passed: npt.ArrayLike, problem: npt.ArrayLike) -> Siblings:
        """From (n,) probabilities out of fold, labels and problems: `task` by maximum likelihood, `own` pooled.

        The likelihood of a problem is E[Π σ(a_i + δ)^y_i (1 − σ(a_i + δ))^(1 − y_i)].
        """
        p, right = np.clip(np.asarray(p_pass, np.float64), EDGE, 1 - EDGE), np.asarray(passed, np.bool_)
        _, code = np.unique(np.asarray(problem), return_inverse=True)
        logit, counts = np.log(p / (1 - p)), np.bincount(code)
        mean = np.bincount(code, weights=logit) / counts
        degrees = len(p) - len(counts)
        own = float(np.sqrt(np.square(logit - mean[code]).sum() / degrees)) if degrees else 0.0

        def misfit(task: float) -> float:
            spread = task * NODES
            a = cls(task=task, own=own).anchors(p)[:, None]
            rows = np.where(right[:, None], _log_sigmoid(a + spread), _log_sigmoid(-a - spread))
            total = np.zeros((len(counts), len(NODES)))
            np.add.at(total, code, rows)
            return -float(np.logaddexp.reduce(total + LOG_MASS, axis=1).sum())

        return cls(task=_least(misfit, 0.0, WIDEST), own=own)


@functools.lru_cache(maxsize=4)
def _marginal_logits(task: float) -> F64:
    """(len(GRID),) the logit of E[σ(a + δ)] for each a of the grid."""
    shifted = GRID[:, None] + task * NODES
    right = np.logaddexp.reduce(_log_sigmoid(shifted) + LOG_MASS, axis=1)
    wrong = np.logaddexp.reduce(_log_sigmoid(-shifted) + LOG_MASS, axis=1)
    logits: F64 = right - wrong
    logits.flags.writeable = False
    return logits


def _least(misfit: Callable[[float], float], low: float, high: float) -> float:
    """Where `misfit`, which has one valley, is least, to 0.01: golden-section search."""
    ratio = (np.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = misfit(left), misfit(right)
    while high - low > 0.01:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = misfit(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = misfit(right)
    return round(float(low + high) / 2, 2)


def _log_sigmoid(x: F64) -> F64:
    value: F64 = -np.logaddexp(0, -x)
    return value
