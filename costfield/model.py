"""The network, on one screen.

    task features (t, S) ──► difficulty head ──► b (t,)      how easy the task is; equal for all siblings
    rank features (n, R) ──► ranking head    ──► r (n,)      how a candidate compares with its siblings
                                   logit P(pass) = b + r,    cost = −logit: lower is better

With no hidden layers both heads are linear: the place to start, since linear probes match MLPs on this kind of data
(AutoProbe, table 5). Several networks, trained on different parts of the problems, are averaged in logit space; how
far they disagree is the spread.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class Shape(BaseModel):
    """What one network looks like. `hidden` lists layer widths; () is linear. Dropout is a share of inputs, 0 to <1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rank_hidden: tuple[int, ...] = ()
    task_hidden: tuple[int, ...] = ()
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Logits(NamedTuple):
    """What one network says of n candidates of t tasks."""

    rank: Tensor  # (n,)
    task: Tensor  # (t,)
    fault: Tensor | None  # (n, f) which outcome, when the network was built to say
    route: Tensor | None = None  # (t, experts) the router's probabilities, when there is one
    balance: Tensor | None = None  # () what uneven use of the experts costs, when there are some


class Network(nn.Module):
    """Difficulty head and ranking head. `faults` > 0 adds auxiliary outcome logits on the ranking trunk."""

    def __init__(self, rank_width: int, task_width: int, shape: Shape, faults: int = 0) -> None:
        super().__init__()
        self.rank_trunk, rank_out = trunk(rank_width, shape.rank_hidden, shape.dropout)
        self.task_trunk, task_out = trunk(task_width, shape.task_hidden, shape.dropout)
        self.rank_head = nn.Linear(rank_out, 1, bias=False)  # a bias would be the difficulty head's business
        self.task_head = nn.Linear(task_out, 1)
        self.fault_head = nn.Linear(rank_out, faults) if faults else None
        nn.init.zeros_(self.rank_head.weight)  # start from "all siblings are equal": every preference is learned
        nn.init.zeros_(self.task_head.weight)

    def forward(self, rank: Tensor, task: Tensor, of: Tensor | None = None) -> Logits:
        """rank (n, R), task (t, S) -> logits. `of`, the task of each row, is for networks that route by task."""
        apart = self.rank_trunk(rank)  # (n, H)
        r = self.rank_head(apart).squeeze(-1)  # (n,)
        b = self.task_head(self.task_trunk(task)).squeeze(-1)  # (t,)
        return Logits(rank=r, task=b, fault=None if self.fault_head is None else self.fault_head(apart))


def trunk(width: int, hidden: tuple[int, ...], dropout: float) -> tuple[nn.Sequential, int]:
    """The layers below a head, and their output width."""
    drop = [nn.Dropout(dropout)] if dropout else []
    layers: list[nn.Module] = [*drop]
    for out in hidden:
        layers += [nn.Linear(width, out), nn.SiLU(), *drop]
        width = out
    return nn.Sequential(*layers), width
