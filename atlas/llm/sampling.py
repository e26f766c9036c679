"""Sampling one token from a row of logits, and what that token's probability was. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_probability(logits: NDArray[np.float32], token: int) -> tuple[float, float]:
    """Natural-log probability at temperature 1 of `token`, and that of the likeliest other token. logits: (vocab,)."""
    top = float(logits.max())
    log_total = top + float(np.log(np.exp(logits - np.float32(top)).sum(dtype=np.float64)))
    own = float(logits[token])
    logits[token] = -np.inf
    other = float(logits.max())
    logits[token] = own
    return own - log_total, other - log_total


def draw(
    logits: NDArray[np.float32], temperature: float, top_p: float, rng: np.random.Generator
) -> tuple[int, float, float]:
    """Sample one token. Returns (token, its log-probability at temperature 1, the likeliest other token's).

    logits: (vocab,), left as it was. `temperature` 0 takes the likeliest token; `top_p` keeps the smallest set of
    tokens whose probability reaches it (Holtzman et al. 2020, section 3.1).
    """
    if temperature <= 0.0:
        token = int(logits.argmax())
    else:
        weights = np.exp((logits - logits.max()) / np.float32(temperature))
        kept = _nucleus(weights, top_p) if top_p < 1.0 else None
        cumulative = np.cumsum(weights if kept is None else weights[kept], dtype=np.float64)
        at = min(int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")), len(cumulative) - 1)
        token = at if kept is None else int(kept[at])
    return token, *log_probability(logits, token)


def _nucleus(weights: NDArray[np.float32], top_p: float) -> NDArray[np.intp]:
    order = np.argsort(weights)[::-1]
    mass = np.cumsum(weights[order], dtype=np.float64)
    return order[: int(np.searchsorted(mass, top_p * mass[-1])) + 1]
