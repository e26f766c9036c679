"""What a network is asked to minimise, on batches of whole problems.

    log loss of b + r   +   listwise · within-problem loss of r   +   fault_weight · outcome loss   +   l2 / 2 · |W|²

and, with experts, + balance · how unevenly they are used (`experts.balance`). Each problem weighs the same,
however many candidates it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from costfield.config import TrainConfig
from costfield.data import Examples
from costfield.features import FeatureMap
from costfield.model import Logits


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Some problems as tensors. Rows of one problem are adjacent, and problems are numbered 0..t-1."""

    rank: Tensor  # (n, R)
    task: Tensor  # (t, S)
    of: Tensor  # (n,) the problem of each row
    passed: Tensor  # (n,) 0 or 1
    weight: Tensor  # (n,) sums to 1 within each problem
    fault: Tensor  # (n,) outcome codes; all 0 when outcomes are not a target
    mixed: Tensor  # (t,) problems with both a right and a wrong candidate

    @classmethod
    def of_examples(cls, examples: Examples, features: FeatureMap, fault_names: tuple[str, ...]) -> Batch:
        """Featurise once: nothing before the network is learned by gradient."""
        codes = examples.codes()
        order = np.argsort(codes, kind="stable")
        examples, codes = examples.take(order), codes[order]
        rank, task = features(examples.embeddings, examples.scalars, codes)
        weight = examples.weight / np.bincount(codes, weights=examples.weight)[codes]
        passes = np.bincount(codes, weights=examples.passed)
        fault = np.zeros(len(codes), np.int64)
        if fault_names and examples.fault is not None:
            fault = np.searchsorted(fault_names, examples.fault)
        return cls(
            rank=torch.from_numpy(rank),
            task=torch.from_numpy(task),
            of=torch.from_numpy(codes),
            passed=torch.from_numpy(examples.passed.astype(np.float32)),
            weight=torch.from_numpy(weight.astype(np.float32)),
            fault=torch.from_numpy(fault),
            mixed=torch.from_numpy((passes > 0) & (passes < np.bincount(codes))),
        )

    def take(self, problems: Tensor) -> Batch:
        """The rows of these problems (distinct, any order), renumbered."""
        new = torch.full((len(self.task),), -1)
        new[problems] = torch.arange(len(problems))
        rows = torch.nonzero(new[self.of] >= 0).squeeze(1)
        return Batch(
            rank=self.rank[rows],
            task=self.task[problems],
            of=new[self.of[rows]],
            passed=self.passed[rows],
            weight=self.weight[rows],
            fault=self.fault[rows],
            mixed=self.mixed[problems],
        )


def within_problem_loss(r: Tensor, batch: Batch) -> Tensor:
    """Mean over mixed problems of −log( Σ_right e^r / Σ_all e^r ): the probability that a softmax over siblings
    chooses a right one. Difficulty cancels, so only what tells siblings apart can lower it. 0 without mixed problems.
    """
    if not batch.mixed.any():
        return r.new_zeros(())
    t = len(batch.task)
    everything = log_sum_exp(r, batch.of, t)  # (t,)
    right = batch.passed > 0
    good = log_sum_exp(r[right], batch.of[right], t)  # (t,) −inf where no sibling is right
    return (everything - good)[batch.mixed].mean()


def log_sum_exp(values: Tensor, of: Tensor, t: int) -> Tensor:
    """(n,) values in t segments -> (t,) log Σ e^value of each; −inf for an empty one."""
    peak = torch.full((t,), -torch.inf).scatter_reduce(0, of, values.detach(), "amax")
    sums = torch.zeros(t).index_add(0, of, (values - peak[of]).exp())
    return peak.clamp(min=torch.finfo(peak.dtype).min) + sums.log()


def log_loss(says: Logits, batch: Batch) -> Tensor:
    """Binary cross-entropy of b + r, each problem weighing the same."""
    logit = says.task[batch.of] + says.rank  # (n,)
    loss = binary_cross_entropy_with_logits(logit, batch.passed, reduction="none")  # (n,)
    return (batch.weight * loss).sum() / len(batch.task)


def total_loss(network: nn.Module, batch: Batch, config: TrainConfig) -> Tensor:
    """What is minimised."""
    says: Logits = network(batch.rank, batch.task, batch.of)
    loss = log_loss(says, batch) + config.listwise * within_problem_loss(says.rank, batch)
    if says.fault is not None:
        # Why a program failed teaches the ranking trunk more than that it failed (CodeRanker, arXiv 2206.03865).
        outcome = cross_entropy(says.fault, batch.fault, reduction="none")
        loss = loss + config.fault_weight * (batch.weight * outcome).sum() / len(batch.task)
    if says.balance is not None:
        loss = loss + config.routing.balance * says.balance
    weights = [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    return loss + config.l2 / 2 * torch.stack([w.square().sum() for w in weights]).sum()
