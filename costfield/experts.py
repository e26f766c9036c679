"""A mixture of experts in place of the one ranking head: a router reads the task and says who ranks its candidates.

    task features (t, S) ──► router ──► P (t, E)  ──► b = P · level            how easy the task is
                                        top 1 or 2 ─► r = Σ gate · expert(rank features)
                                   logit P(pass) = b + r,    as in `model.Network`

Siblings share their task's route, so one and the same function orders them; routing by candidate would compare the
word of one expert with that of another. Every expert has a level, the difficulty of the tasks that it is for, and the
difficulty head is the router itself: its output says how hard a task is.

Gates and load balancing: Fedus, Zoph & Shazeer, *Switch Transformers* (arXiv 2101.03961), section 2.2: the gate of a
top-1 expert is its probability, and the loss E · Σ share · probability is least, 1, where all experts are used alike.
Two experts share a gate of 1 (GShard, arXiv 2006.16668, section 2.2).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from costfield.errors import InvalidRecipe
from costfield.model import Logits, Shape, trunk


class Routing(BaseModel):
    """How many experts there are, how many rank one task, and the weight of the loss that spreads tasks over them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    experts: int = Field(default=4, ge=2, le=8)
    top: int = Field(default=1, ge=1, le=2)
    # The source's 0.01 starves all but the hardest and the easiest expert here: telling how hard a task is pulls the
    # router to its ends. At 0.2 all work, on made-up and on labelled data.
    balance: float = Field(default=0.2, ge=0)


class ExpertLoad(BaseModel):
    """What one expert of an ensemble does, over the problems that it was measured on and over the members."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    level: float  # logit P(pass) of the tasks that it is for: the lower, the harder
    share: float  # of problems that are sent to it
    least: float  # that share in the member that uses it least: 0 is an expert that starves
    most: float
    probability: float  # mean of the router's


class Expert(nn.Module):
    """What one expert says of the rows that are sent to it: the ranking half of `model.Network`."""

    def __init__(self, width: int, shape: Shape, faults: int) -> None:
        super().__init__()
        self.trunk, out = trunk(width, shape.rank_hidden, shape.dropout)
        self.head = nn.Linear(out, 1, bias=False)
        self.fault_head = nn.Linear(out, faults) if faults else None
        nn.init.zeros_(self.head.weight)  # as in the plain network, every preference is learned

    def forward(self, rank: Tensor) -> tuple[Tensor, Tensor | None]:
        """rank (n, R) -> r (n,), and outcome logits (n, f) when it was built to give them."""
        apart = self.trunk(rank)
        return self.head(apart).squeeze(-1), None if self.fault_head is None else self.fault_head(apart)


class Mixture(nn.Module):
    """Router and experts that together have at most the parameters of the plain network of the same `shape`."""

    def __init__(self, rank_width: int, task_width: int, shape: Shape, routing: Routing, faults: int = 0) -> None:
        super().__init__()
        narrow = narrowed(rank_width, task_width, shape, routing, faults)
        self.top, self.faults = routing.top, faults
        self.router_trunk, out = trunk(task_width, shape.task_hidden, shape.dropout)
        self.router = nn.Linear(out, routing.experts)
        self.level = nn.Parameter(torch.linspace(-1, 1, routing.experts))  # (E,) apart, or no task would prefer any
        self.experts = nn.ModuleList(Expert(rank_width, narrow, faults) for _ in range(routing.experts))

    def forward(self, rank: Tensor, task: Tensor, of: Tensor) -> Logits:
        """rank (n, R), task (t, S), the task of each row (n,) -> logits. Only the chosen experts do any work."""
        route = self.router(self.router_trunk(task)).softmax(dim=1)  # (t, E)
        gate = gates(route, self.top)  # (t, E), 0 for those not chosen
        r, fault = rank.new_zeros(len(rank)), rank.new_zeros(len(rank), self.faults)
        for e, expert in enumerate(self.experts):
            rows = torch.nonzero(gate[of, e] > 0).squeeze(1)
            share = gate[of[rows], e]
            says, outcomes = expert(rank[rows])
            r = r.index_add(0, rows, share * says)
            if outcomes is not None:
                fault = fault.index_add(0, rows, share[:, None] * outcomes)
        return Logits(
            rank=r,
            task=route @ self.level,
            fault=fault if self.faults else None,
            route=route,
            balance=balance(route, self.top),
        )

    @torch.no_grad()
    def hardest_first(self) -> Tensor:
        """(E,) the experts by level: in this order those of several networks can be compared."""
        return self.level.argsort()


def gates(route: Tensor, top: int) -> Tensor:
    """(t, E) probabilities -> (t, E) gates of the `top` likeliest, the others 0. Alone it keeps its probability."""
    weight, chosen = route.topk(top, dim=1)
    if top > 1:
        weight = weight / weight.sum(dim=1, keepdim=True)
    return torch.zeros_like(route).scatter(1, chosen, weight)


def load(route: Tensor, top: int) -> Tensor:
    """(E,) the share of all sendings that each expert gets; sums to 1."""
    sent = torch.bincount(route.topk(top, dim=1).indices.flatten(), minlength=route.shape[1])
    return sent.to(route.dtype) / sent.sum()


def balance(route: Tensor, top: int) -> Tensor:
    """E · Σ load · mean probability: 1 where experts are used alike, E where one gets all. Arrays (t, E) -> ()."""
    return route.shape[1] * (load(route, top).detach() * route.mean(dim=0)).sum()


def loads(route: npt.NDArray[np.float64], level: npt.NDArray[np.float64], top: int) -> tuple[ExpertLoad, ...]:
    """Of m members' routes (m, t, E) and levels (m, E), hardest expert first, what each expert does."""
    share = np.stack([load(torch.from_numpy(one), top).numpy() for one in route])  # (m, E)
    return tuple(
        ExpertLoad(
            level=float(level[:, e].mean()),
            share=float(share[:, e].mean()),
            least=float(share[:, e].min()),
            most=float(share[:, e].max()),
            probability=float(route[:, :, e].mean()),
        )
        for e in range(route.shape[2])
    )


def narrowed(rank_width: int, task_width: int, shape: Shape, routing: Routing, faults: int) -> Shape:
    """The widest experts, their layers in the proportions of `shape`, that cost no more than the plain network does.

    Raises `InvalidRecipe` where not even layers of width 1 do.
    """
    task_out = (shape.task_hidden or (task_width,))[-1]
    router = (task_out + 1) * routing.experts + routing.experts  # in place of the difficulty head
    budget = _head_size(rank_width, shape.rank_hidden, faults) + task_out + 1 - router
    widest = max(shape.rank_hidden)
    for width in range(widest, 0, -1):
        hidden = tuple(math.ceil(w * width / widest) for w in shape.rank_hidden)
        if routing.experts * _head_size(rank_width, hidden, faults) <= budget:
            return shape.model_copy(update={"rank_hidden": hidden})
    raise InvalidRecipe(
        f"{routing.experts} experts do not fit in the parameters of one network with hidden layers "
        f"{list(shape.rank_hidden)} that reads {rank_width} features: use fewer experts or a wider rank_hidden"
    )


def _head_size(width: int, hidden: tuple[int, ...], faults: int) -> int:
    """Parameters of a ranking half: trunk, head without bias, outcome head."""
    size = 0
    for out in hidden:
        size, width = size + (width + 1) * out, out
    return size + width + (width + 1) * faults
