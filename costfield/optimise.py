"""Who updates which parameters of a network."""

from __future__ import annotations

import torch
from torch import nn

from costfield.config import TrainConfig


def optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Who updates which parameters. An optimiser for some of them only is one more list entry.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a matrix by a nearly
    orthogonal one, so that all its directions move alike. It is for matrices between two hidden layers: input layers,
    heads and biases stay with AdamW. Its steps are scaled to AdamW's usual size (Liu et al., arXiv 2502.16982,
    section 2.2), so that one learning rate serves both.
    """
    if config.optimizer == "lbfgs":
        return [torch.optim.LBFGS(network.parameters(), max_iter=5, line_search_fn="strong_wolfe")]
    rate, decay = config.learning_rate, config.weight_decay
    inner = hidden_matrices(network) if config.optimizer == "muon" else []
    others = [p for p in network.parameters() if not any(p is one for one in inner)]
    decayed = [p for p in others if p.ndim >= 2]
    free = [p for p in others if p.ndim < 2]  # biases only shift; pulling them to 0 would bias P(pass)
    groups = [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
    steppers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=rate)]
    if inner:
        steppers.append(torch.optim.Muon(inner, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return steppers


def hidden_matrices(network: nn.Module) -> list[torch.Tensor]:
    """Weights between two hidden layers: of every trunk all but the first."""
    trunks = [module for module in network.modules() if isinstance(module, nn.Sequential)]
    return [layer.weight for one in trunks for layer in [m for m in one if isinstance(m, nn.Linear)][1:]]
