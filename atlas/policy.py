"""What to do next: run a candidate, ask for more, or stop. Pure: positions in, moves out, and no I/O.

`FixedRounds` asks for the same number in each round and runs the cheapest. `ExpectedCost` opens boxes: Weitzman
(*Econometrica* 47, 1979) showed that among boxes with a known price and an unknown prize, the next to open is the one
whose *index* is highest, the index being the sure prize z for which opening is worth just its price, and that one
stops when none is above what one has. A task that is solved is worth 1, everything else is counted in that:

    run a candidate of P(pass) p     p − c − q·z = 0                           c   the price of a run
    ask for m more, then maybe run   E[max(0, p* − c − q*·z)] = g              g   the price of their tokens
                                                                               p*  P(pass) of the best of the m
    q = p + (1 − p)·f is how likely a run is to end it, f the share of wrong programs that pass the task's checks.

With checks that no wrong program passes, the first is z = 1 − c/p; without any check it is p − c. Boxes of one task are
not independent, so that the rule, exact for independent ones, is a rule of thumb here: after each failure every P(pass)
is what `costfield.siblings` makes of it, for candidates that are still to be written too. Those are taken to be like
the ones seen so far, also where a failure is shown to the model: whether that helps, no number here knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from atlas.protocols import Generate, Move, Position, Run, Stop
from atlas.types import Attempt, Ranked, Usage
from costfield.siblings import Siblings

F64 = npt.NDArray[np.float64]
QUANTILES = (np.arange(32) + 0.5) / 32
"""Where the distribution of a candidate that is still to be written is looked at."""
NEVER = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRounds:
    """Each round is `budget.candidates` completions and one run, of the cheapest, where it is likely enough to pass."""

    least_p_pass: float = 0.0
    name: str = "rounds"

    def next(self, position: Position) -> Move:
        last = position.attempts[-1] if position.attempts else None
        if last is not None and last.passed:
            return Stop(reason="a program passed")
        if last is not None and last.verdict is None and last.ranked and self._likely(last.ranked[0]):
            return Run(ranked=last.ranked)
        round_ = 0 if last is None else last.round + 1
        if spent := exhausted(position, round_):
            return Stop(reason=spent)
        return Generate(n=position.budget.candidates, round_=round_)

    def _likely(self, ranked: Ranked) -> bool:
        return not self.least_p_pass or (ranked.p_pass is not None and ranked.p_pass >= self.least_p_pass)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCost:
    """Does what is worth most by its index. Needs a ranker that says P(pass), and to know how siblings vary.

    Prices are in solved tasks: `run_price` for one sandbox run, `token_price` for 1,000 tokens, in or out. At most
    `group` completions are asked for at a time. `false_pass` is the share of wrong programs that pass a task's checks.
    """

    siblings: Siblings
    run_price: float
    token_price: float
    group: int = 2
    false_pass: float = 0.0
    least_p_pass: float = 0.0
    name: str = "expected-cost"

    def next(self, position: Position) -> Move:
        attempts = position.attempts
        if attempts and attempts[-1].passed:
            return Stop(reason="a program passed")
        known = Known.of(attempts)
        if known.unscored:
            return FixedRounds(least_p_pass=self.least_p_pass).next(position)
        request, spent = self._request(position)
        ask = NEVER if spent else self._worth_of_asking(request.n, known, position)
        best = float(self.siblings.updated(known.p_left[:1], known.failed).sum())
        run = NEVER if runs(attempts) >= position.budget.sandbox_runs else self._worth_of_running(best, known, position)
        if run >= max(ask, 0.0):
            return Run(ranked=known.left)
        if ask > 0.0:
            return request
        why = f"the likeliest candidate has a P(pass) of {best:.2f}" if known.left else "no candidate is left to run"
        return Stop(reason=f"{why}, and {spent or 'asking for another is not worth its tokens'}")

    def _request(self, position: Position) -> tuple[Generate, str]:
        """The next group that could be asked for, and why it may not be."""
        last = position.attempts[-1] if position.attempts else None
        room = 0 if last is None or last.verdict is not None else position.budget.candidates - sum(last.asked)
        round_ = 0 if last is None else last.round if room > 0 else last.round + 1
        n = min(self.group, room if room > 0 else position.budget.candidates)
        return Generate(n=n, round_=round_), exhausted(position, round_)

    def _worth_of_running(self, best: float, known: Known, position: Position) -> float:
        if not known.left or best < self.least_p_pass:
            return NEVER
        return index_of_running(best, self.run_price, self._false_pass(position))

    def _worth_of_asking(self, n: int, known: Known, position: Position) -> float:
        """The index of a group of `n`; above all others where nothing of the task has been seen to judge it by."""
        if not known.seen:
            return math.inf
        asked = [size for attempt in position.attempts for size in attempt.asked]
        paid = sum((attempt.usage for attempt in position.attempts), Usage())
        tokens = paid.prompt_tokens / len(asked) + n * paid.completion_tokens / sum(asked)
        best = self._best_of(n, known)
        return index_of_asking(best, self.token_price * tokens / 1000, self.run_price, self._false_pass(position))

    def _best_of(self, n: int, known: Known) -> F64:
        """(draws,) P(pass) of the best of `n` new candidates, at `QUANTILES`: normal in the logit, around those seen.

        The greatest of n draws has its u-quantile where one draw has its u^(1/n)-quantile.
        """
        seen = np.clip(known.seen, 1e-6, 1 - 1e-6)
        logits = np.log(seen / (1 - seen))
        spread = self.siblings.own * math.sqrt(1 + 1 / len(logits))
        normal = NormalDist(mu=float(logits.mean()), sigma=max(spread, 1e-9))
        drawn = np.array([normal.inv_cdf(float(u)) for u in QUANTILES ** (1 / n)])
        return self.siblings.updated(1 / (1 + np.exp(-drawn)), known.failed)

    def _false_pass(self, position: Position) -> float:
        return self.false_pass if position.checked else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What attempts tell of a task's different candidates. `p_left` belongs to `left`, which is likeliest first.

    `unscored`: there are candidates, and the ranker gave none of them a P(pass). One without, among others that have
    it, is left alone: it is ranked last, and what is asked for instead has a known worth.
    """

    left: tuple[Ranked, ...]
    p_left: tuple[float, ...]
    seen: tuple[float, ...]
    failed: tuple[float, ...]
    unscored: bool

    @classmethod
    def of(cls, attempts: Sequence[Attempt]) -> Known:
        ranked = {r.candidate.digest: r for attempt in attempts for r in attempt.ranked}
        said = {digest: r.p_pass for digest, r in ranked.items() if r.p_pass is not None}
        ran = {attempt.pick.digest for attempt in attempts if attempt.pick is not None and attempt.verdict is not None}
        left = sorted(said.keys() - ran, key=lambda digest: (-said[digest], ranked[digest].candidate.index))
        return cls(
            left=tuple(ranked[digest] for digest in left),
            p_left=tuple(said[digest] for digest in left),
            seen=tuple(said.values()),
            failed=tuple(said[digest] for digest in ran if digest in said),
            unscored=bool(ranked) and not said,
        )


def index_of_running(p_pass: float, run_price: float, false_pass: float) -> float:
    """z with p − c − q·z = 0: the sure prize for which running the candidate is worth just its price."""
    return (p_pass - run_price) / (p_pass + (1 - p_pass) * false_pass)


def index_of_asking(p_pass: npt.ArrayLike, price: float, run_price: float, false_pass: float) -> float:
    """z with E[max(0, p − c − q·z)] = g over equally likely `p_pass` (n,), by bisection; −inf where that is below 0."""
    p = np.asarray(p_pass, np.float64)
    gain, q = p - run_price, p + (1 - p) * false_pass

    def worth(z: float) -> float:
        return float(np.maximum(0.0, gain - q * z).mean()) - price

    if worth(0.0) <= 0:
        return NEVER
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if worth(middle) > 0 else (low, middle)
    return low


def runs(attempts: Sequence[Attempt]) -> int:
    """Sandbox runs so far."""
    return sum(attempt.verdict is not None for attempt in attempts)


def exhausted(position: Position, round_: int) -> str:
    """Why nothing more may be asked for in `round_`; "" where it may. Asking is pointless where no run is left."""
    spent = _spent(position, round_)
    if spent and not any(attempt.candidates for attempt in position.attempts):
        return f"no answer of the model held a program, and {spent}"
    return spent


def _spent(position: Position, round_: int) -> str:
    budget, attempts = position.budget, position.attempts
    if round_ >= budget.rounds:
        return f"{budget.rounds} rounds are all that the budget allows"
    if runs(attempts) >= budget.sandbox_runs:
        return f"{budget.sandbox_runs} sandbox runs are all that the budget allows"
    if sum(attempt.usage.total for attempt in attempts) >= budget.tokens:
        return f"{budget.tokens} tokens are all that the budget allows"
    return ""
