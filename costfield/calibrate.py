"""Make the logits mean what they say: Platt scaling with one slope a head, fitted on problems held out for it.

    logit P(pass) = task_slope · b + rank_slope · r + bias

Platt, *Probabilistic outputs for SVMs* (1999); a slope per head because difficulty and ranking overfit differently.
Slopes are above 0 by construction, so calibration never changes which sibling is cheapest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn.functional import binary_cross_entropy_with_logits

F64 = npt.NDArray[np.float64]
PRIOR_PROBLEMS = 0.5  # how many problems' worth of belief that the logits are right as they are


class Calibration(BaseModel):
    """Slopes and bias; `problems` is how many held-out problems they were fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    task_slope: float = Field(gt=0)
    rank_slope: float = Field(gt=0)
    bias: float
    problems: int

    def __call__(self, task_logit: F64, rank_logit: F64) -> F64:
        """Calibrated logit of P(pass), elementwise."""
        return self.task_slope * task_logit + self.rank_slope * rank_logit + self.bias


def fit_calibration(task_logit: F64, rank_logit: F64, passed: npt.NDArray[np.bool_], weight: F64) -> Calibration:
    """Least weighted log loss over (n,) rows of held-out problems; `weight` sums to 1 within each problem.

    A weak Gaussian prior on the log slopes keeps few problems, or perfectly separated ones, from sending them to
    infinity. Convex enough for L-BFGS from (1, 1, 0); float64, so the result does not depend on the machine.
    """
    b, r = torch.tensor(task_logit, dtype=torch.float64), torch.tensor(rank_logit, dtype=torch.float64)
    y, w = torch.tensor(passed, dtype=torch.float64), torch.tensor(weight, dtype=torch.float64)
    free = torch.zeros(3, dtype=torch.float64, requires_grad=True)  # log task slope, log rank slope, bias
    optimizer = torch.optim.LBFGS([free], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logit = free[0].exp() * b + free[1].exp() * r + free[2]
        loss = (w * binary_cross_entropy_with_logits(logit, y, reduction="none")).sum()
        loss = (loss + PRIOR_PROBLEMS / 2 * free[:2].square().sum()) / (w.sum() + PRIOR_PROBLEMS)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    task_log, rank_log, bias = free.detach().tolist()
    return Calibration(
        task_slope=float(np.exp(task_log)),
        rank_slope=float(np.exp(rank_log)),
        bias=bias,
        problems=round(float(w.sum())),
    )
