"""When not to answer: a bar for P(pass) of the cheapest candidate, above which few answers are wrong.

The bar is found on problems that the networks did not see, and holds with a stated confidence for problems of the same
kind: *Learn then Test* (Angelopoulos, Bates, Candès, Jordan & Lei, arXiv 2110.01052), fixed-sequence testing with
several starts. Bars are fixed by the share of problems that they answer, each is tested by the exact binomial tail, and
problems are the trials. From each start the bar is lowered until a test fails; the starts share the error probability,
because a sequence that began at the few most confident problems would often end there by one unlucky answer.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from costfield.bootstrap import Estimate, bootstrap_mean
from costfield.data import Examples
from costfield.evaluate import cheapest
from costfield.metrics import by_problem

F64 = npt.NDArray[np.float64]
RISK, CONFIDENCE = 0.10, 0.95
STEPS = 40  # bars tried: those that answer 1/40, 2/40, … of the problems
STARTS = (2, 4, 8, 16)  # of those, where a sequence begins


class Abstention(BaseModel):
    """The bar of a field. `threshold` is None where no bar holds the risk with this confidence on so few problems."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: float | None
    risk: float  # share of answers that may be wrong
    confidence: float
    coverage: float  # share of the problems that it was found on that are answered
    error: float | None  # share of those answers that are wrong
    problems: int


class Abstained(BaseModel):
    """What a bar does on other problems. `error` is None where nothing is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: float
    answered: Estimate
    error: Estimate | None


def fit_abstention(
    examples: Examples, cost: F64, p_pass: F64, *, risk: float = RISK, confidence: float = CONFIDENCE
) -> Abstention:
    """The lowest bar that holds, from (n,) out-of-fold costs and probabilities."""
    said, right = _cheapest(examples, cost, p_pass)
    ranked = np.sort(said)[::-1]
    bars = [float(ranked[math.ceil(step / STEPS * len(ranked)) - 1]) for step in range(1, STEPS + 1)]
    tails = [_tail(said, right, bar, risk) for bar in bars]
    held = None
    for start in STARTS:
        passed = [tail <= (1 - confidence) / len(STARTS) for tail in tails[start - 1 :]]
        count = (*passed, False).index(False)
        if count and (held is None or bars[start + count - 2] < held):
            held = bars[start + count - 2]
    answered = said >= (math.inf if held is None else held)
    return Abstention(
        threshold=held,
        risk=risk,
        confidence=confidence,
        coverage=float(answered.mean()),
        error=float((1 - right[answered]).mean()) if answered.any() else None,
        problems=len(said),
    )


def measure_abstention(
    examples: Examples, cost: F64, p_pass: F64, threshold: float, *, seed: int, resamples: int
) -> Abstained:
    """How many problems a bar answers and how many of those answers are wrong, over all problems, mixed or not."""
    said, right = _cheapest(examples, cost, p_pass)
    answered = said >= threshold
    return Abstained(
        threshold=threshold,
        answered=bootstrap_mean(answered, seed=seed, resamples=resamples),
        error=bootstrap_mean(1 - right[answered], seed=seed, resamples=resamples) if answered.any() else None,
    )


def binomial_tail(most: int, n: int, p: float) -> float:
    """P(X <= most) for X ~ Binomial(n, p), 0 < p < 1."""
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(most + 1)
    ]
    return math.fsum(map(math.exp, logs))


def _tail(said: F64, right: F64, bar: float, risk: float) -> float:
    """How likely so few wrong answers are if `risk` of all answers above the bar were wrong."""
    answered = said >= bar
    wrong = math.ceil((1 - right[answered]).sum() - 1e-9)  # a tie is wrong in part: round against us
    return binomial_tail(wrong, int(answered.sum()), risk)


def _cheapest(examples: Examples, cost: F64, p_pass: F64) -> tuple[F64, F64]:
    """(q,) P(pass) of each problem's cheapest candidate, and how often it is right."""
    codes = examples.codes()
    return cheapest(by_problem(cost, examples.passed, codes), cost, p_pass, codes)
