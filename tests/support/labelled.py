"""Made-up labelled fingerprints with a known answer: how much they tell of the right sibling is a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from costfield.config import TrainConfig
from costfield.data import Examples

FINGERPRINT = "fp1-test"
QUICK = TrainConfig(members=2, folds=3, resamples=200, components=None)


def labelled(
    *, problems: int = 120, siblings: int = 6, dims: int = 12, signal: float = 2.0, seed: int = 0, **columns: Any
) -> Examples:
    """Candidates whose quality is normal, shown by one direction of the embedding with strength `signal`.

    P(pass) = sigmoid(difficulty + 2 · quality). Difficulty shows in another direction, equally for all siblings, and
    `logprob_mean` sees quality through as much noise again. With signal 0 nothing tells siblings apart.
    """
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(problems), siblings)
    n = len(of)
    difficulty, quality = rng.normal(0, 1.5, problems), rng.standard_normal(n)
    embeddings = rng.standard_normal((n, dims))
    if dims:
        embeddings[:, 0] += signal * quality
        embeddings[:, 1] += 2 * difficulty[of]
    logprob = -0.3 + 0.05 * (0.5 * signal * quality + rng.standard_normal(n))
    passed = rng.random(n) < 1 / (1 + np.exp(-difficulty[of] - 2 * quality))
    given: dict[str, Any] = {
        "fingerprint_id": FINGERPRINT,
        "embeddings": embeddings,
        "scalars": np.stack([logprob, rng.integers(20, 400, n), rng.random(n)], axis=1),
        "scalar_names": ("logprob_mean", "chars", "agreement"),
        "passed": passed,
        "problem": [f"p{i:04d}" for i in of],
        "index": np.tile(np.arange(siblings), problems),
        "fault": np.where(passed, "PASS", np.where(rng.random(n) < 0.3, "ERROR", "FAIL")),
    }
    return Examples.of(**(given | columns))
