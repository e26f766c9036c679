"""How fast a linear head trains, against scikit-learn's logistic regression on the same rows to the same loss.

    python benchmarks/train_speed.py [--json] [--l2 0.2] [--repeat 3]

Both minimise mean log loss + l2/2 · |w|² over 20,000 rows of 1,536 in float32, from zero. scikit-learn stops by its own
default tolerance; this package's training step runs until its loss is no more than 0.0001 above that. `vs_sklearn` is
scikit-learn's seconds over ours: above 1 means faster. Runs alternate and the best of each counts, so that a busy
machine disturbs both alike. Needs the extra `bench`, which `make setup-dev` installs. `field_seconds` is one whole
ensemble, fitted and calibrated, on 2,500 problems of 8 candidates.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import torch

from costfield.config import TrainConfig
from costfield.data import Examples
from costfield.model import Network, Shape
from costfield.objective import Batch, total_loss
from costfield.optimise import optimizers
from costfield.train import fit, step, threads

try:
    from sklearn.linear_model import LogisticRegression
except ImportError as error:
    sys.exit(f"this needs scikit-learn, which `make setup-dev` installs: {error}")

ROWS, DIMS, SIBLINGS = 20_000, 1536, 8
TOLERANCE = 1e-4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--l2", type=float, default=TrainConfig().l2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    x, y = rows(seed=0)
    config = TrainConfig(l2=given.l2, listwise=0.0, components=None, threads=given.threads)
    theirs, ours = [], []
    for _ in range(given.repeat):
        seconds, target = time_sklearn(x, y, given.l2)
        theirs.append(seconds)
        seconds, reached = time_ours(x, y, config, target + TOLERANCE)
        ours.append(seconds)
    begin = time.perf_counter()
    fit(problems(x, y), config, seed=0)
    result = {
        "rows": ROWS,
        "dims": DIMS,
        "l2": given.l2,
        "loss": reached,
        "sklearn_loss": target,
        "seconds": min(ours),
        "sklearn_seconds": min(theirs),
        "vs_sklearn": min(theirs) / min(ours),
        "field_seconds": time.perf_counter() - begin,
        "threads": given.threads,
    }
    print(json.dumps(result) if given.json else "\n".join(f"{name:16} {value:.5g}" for name, value in result.items()))


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) float32 of uneven variance, standardised as a field standardises, and (n,) labels that follow it."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.standard_normal((DIMS, DIMS)))[0] * np.arange(1, DIMS + 1)[:, None] ** -0.5
    x = rng.standard_normal((ROWS, DIMS)) @ mixing
    x /= x.std(axis=0)
    logit = x @ rng.standard_normal(DIMS) / np.sqrt(DIMS)
    return x.astype(np.float32), rng.random(ROWS) < 1 / (1 + np.exp(-2 * logit))


def time_sklearn(x: np.ndarray, y: np.ndarray, l2: float) -> tuple[float, float]:
    """Seconds that scikit-learn needs, and the loss at which it stops."""
    model = LogisticRegression(C=1 / (l2 * len(y)), max_iter=2000)
    begin = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - begin
    logit = x @ model.coef_[0].astype(np.float64) + model.intercept_[0]
    loss = np.mean(np.logaddexp(0, logit) - y * logit) + l2 / 2 * np.square(model.coef_).sum()
    return seconds, float(loss)


def time_ours(x: np.ndarray, y: np.ndarray, config: TrainConfig, target: float) -> tuple[float, float]:
    """Seconds that the training step needs to reach `target`, and the loss then.

    Each row is a problem with one candidate: its ranking view is empty of information, and the difficulty head is a
    logistic regression.
    """
    n = len(y)
    batch = Batch(
        rank=torch.zeros(n, 1),
        task=torch.from_numpy(x),
        of=torch.arange(n),
        passed=torch.from_numpy(y.astype(np.float32)),
        weight=torch.ones(n),
        fault=torch.zeros(n, dtype=torch.int64),
        mixed=torch.zeros(n, dtype=torch.bool),
    )
    with threads(config.threads):
        begin = time.perf_counter()
        network = Network(1, DIMS, Shape())
        steppers = optimizers(network, config)
        loss = float("inf")
        while loss > target:
            step(network, batch, steppers, config)
            with torch.no_grad():
                previous, loss = loss, float(total_loss(network, batch, config))
            if loss >= previous:
                raise RuntimeError(f"stopped at a loss of {loss:.6f}, above the target {target:.6f}")
        return time.perf_counter() - begin, loss


def problems(x: np.ndarray, y: np.ndarray) -> Examples:
    """The same rows as candidates of problems, eight each."""
    return Examples.of(
        fingerprint_id="benchmark",
        embeddings=x,
        scalars=np.zeros((ROWS, 0)),
        scalar_names=(),
        passed=y,
        problem=[f"{row // SIBLINGS:05d}" for row in range(ROWS)],
    )


if __name__ == "__main__":
    main()
