"""`atlas eval policy`: what a policy would have solved and paid on a recorded pool, beside fixed k.

Every policy plays the same recorded completions (`atlas.evals.replayed`), so differences are paired by problem. A task
counts as solved where the program that is handed out passes every check, whatever the loop could see of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from atlas import extract
from atlas.errors import ConfigError
from atlas.evals.measures import SEED, Interval, mean, share
from atlas.evals.replayed import Dealer, GradedSandbox, Recorded, Within
from atlas.policy import ExpectedCost, FixedRounds
from atlas.protocols import Policy
from atlas.solver import Solver
from atlas.types import Budget, Status, digest
from costfield.bootstrap import paired_difference
from costfield.siblings import Siblings
from sandbox.types import Frozen

F64 = npt.NDArray[np.float64]
Sees = Literal["all", "visible"]
BASELINE = "fixed k, one run"
RUN_PRICES = (0.01, 0.05, 0.2, 0.4, 0.8)
TOKEN_PRICES = (0.2, 1.0, 2.0)
HANDED_OUT = (Status.VERIFIED, Status.UNCHECKED)
ENDLESS = Budget(rounds=32, seconds=86_400, tokens=10**9, sandbox_runs=1_000)
"""A pool ends by itself."""


class PolicyResults(Frozen):
    """One policy over all problems. Ratios are of sums, resampled by problem; None where nothing was solved."""

    solved: Interval
    wrong: Interval
    """Share of all tasks that ended with a program handed out that is wrong."""
    completions: Interval
    tokens: Interval
    runs: Interval
    tokens_per_solved: Interval | None
    sandbox_runs_per_solved: Interval | None
    solved_less_fixed: Interval
    """Against the baseline on the same problems, paired."""
    tokens_of_fixed: Interval
    """Its tokens as a share of the baseline's."""
    worth: Interval
    """What the policy as set is after: solved tasks, less the prices of runs and tokens. Mean over problems."""
    worth_less_fixed: Interval


class Calibrated(Frozen):
    """What the ranker says of the first `siblings` completions alone, and how many of those candidates are right.

    Both are means over problems of the mean over a problem's candidates.
    """

    siblings: int
    predicted: Interval
    observed: Interval


class PolicyComparison(Frozen):
    """All of them. `sees`: whether the loop could see every check of a problem, or those that its prompt shows."""

    schema_version: Literal[1] = 1
    problems: int
    k: int
    sees: Sees
    run_price: float
    token_price: float
    siblings: Siblings
    ranker: str
    calibration: tuple[Calibrated, ...]
    policies: dict[str, PolicyResults]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A policy with the budget that it plays under."""

    name: str
    policy: Policy
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of one problem under one policy. `handed`: the loop ended with a program; `solved`: it was right."""

    solved: bool
    handed: bool
    completions: int
    tokens: int
    runs: int


def contestants(k: int, own: ExpectedCost) -> tuple[Contestant, ...]:
    """Fixed k with one run and with as many as it takes, rounds of 4, the policy as set, and at other prices."""
    once = ENDLESS.model_copy(update={"rounds": 1, "candidates": k})
    freely = ENDLESS.model_copy(update={"candidates": k})
    free = ExpectedCost(siblings=own.siblings, run_price=0.0, token_price=0.0, group=k, false_pass=own.false_pass)
    fixed = [
        Contestant(name=BASELINE, policy=FixedRounds(), budget=once),
        Contestant(name="fixed k, every run until a pass", policy=free, budget=once),
        Contestant(name="rounds of 4, one run each", policy=FixedRounds(), budget=ENDLESS),
        Contestant(name="expected cost, as set", policy=own, budget=freely),
    ]
    runs = [
        Contestant(name=f"expected cost, {price:g} a run", policy=replace(own, run_price=price), budget=freely)
        for price in RUN_PRICES if price != own.run_price
    ]
    tokens = [
        Contestant(
            name=f"expected cost, {price:g} for 1,000 tokens", policy=replace(own, token_price=price), budget=freely
        )
        for price in TOKEN_PRICES if price != own.token_price
    ]
    return (*fixed, *runs, *tokens)


async def compare_policies(
    pool: Sequence[Recorded], k: int, contenders: Sequence[Contestant], own: ExpectedCost, *,
    sees: Sees = "all",
) -> PolicyComparison:
    """Play every contestant on every problem; the first is what the others are held against, at the prices of `own`.

    Raises ValueError where there is no problem.
    """
    if not pool:
        raise ValueError("no problem was recorded, so there is nothing to compare")
    played = {c.name: [await play(one, k, c, sees=sees) for one in pool] for c in contenders}
    baseline = played[contenders[0].name]
    return PolicyComparison(
        problems=len(pool), k=k, sees=sees, run_price=own.run_price, token_price=own.token_price,
        siblings=own.siblings, ranker=pool[0].ranker.name,
        calibration=tuple([await calibration(pool, size) for size in (1, 2, 4, 8, 16, 32, 64) if size <= k]),
        policies={name: _results(games, baseline, own) for name, games in played.items()},
    )


async def calibration(pool: Sequence[Recorded], siblings: int) -> Calibrated:
    """A P(pass) that is right for k siblings may be wrong for the few that the loop has seen so far."""
    said, right = [], []
    for one in pool:
        candidates = extract.candidates(one.task, one.completions[:siblings])
        ranked = [r for r in await one.ranker.rank(one.task, candidates) if r.p_pass is not None]
        if ranked:
            said.append(float(np.mean([r.p_pass for r in ranked])))
            right.append(float(np.mean([one.passed[r.candidate.digest] for r in ranked])))
    if not said:
        raise ConfigError(f"{pool[0].ranker.name} says P(pass) of no candidate in this pool")
    return Calibrated(siblings=siblings, predicted=mean(said), observed=mean(right))


async def play(recorded: Recorded, k: int, contestant: Contestant, *, sees: Sees) -> Played:
    """One problem under one policy: the solver itself, on the pool's completions and verdicts."""
    seen = recorded.passed if sees == "all" else recorded.shown
    solver = Solver(
        llm=Dealer(recorded=recorded), ranker=recorded.ranker, sandbox=GradedSandbox(passed=seen),
        budget=contestant.budget, policy=Within(policy=contestant.policy, k=k), more_checks=sees == "all",
    )
    solution = await solver.solve(recorded.task)
    handed = solution.status in HANDED_OUT and solution.program is not None
    return Played(
        handed=handed,
        solved=handed and solution.program is not None and recorded.passed[digest(solution.program)],
        completions=sum(sum(attempt.asked) for attempt in solution.attempts),
        tokens=solution.usage.total,
        runs=solution.sandbox_runs,
    )


def _results(games: Sequence[Played], baseline: Sequence[Played], own: ExpectedCost) -> PolicyResults:
    solved, tokens, runs = _columns(games)
    fixed, their_tokens, their_runs = _columns(baseline)
    worth = solved - own.run_price * runs - own.token_price * tokens / 1000
    theirs = fixed - own.run_price * their_runs - own.token_price * their_tokens / 1000
    some = bool(solved.any())
    return PolicyResults(
        solved=share(solved),
        wrong=share([float(game.handed and not game.solved) for game in games]),
        completions=mean([float(game.completions) for game in games]),
        tokens=mean(tokens),
        runs=mean(runs),
        tokens_per_solved=mean(tokens, solved) if some else None,
        sandbox_runs_per_solved=mean(runs, solved) if some else None,
        solved_less_fixed=Interval.of(paired_difference(solved, fixed, seed=SEED)),
        tokens_of_fixed=mean(tokens, their_tokens),
        worth=mean(worth),
        worth_less_fixed=Interval.of(paired_difference(worth, theirs, seed=SEED)),
    )


def _columns(games: Sequence[Played]) -> tuple[F64, F64, F64]:
    """(q,) each: solved, tokens, runs."""
    rows = np.array([(game.solved, game.tokens, game.runs) for game in games], np.float64)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def table(found: PolicyComparison) -> str:
    """One line a policy, in the order in which they were given."""
    rows = [["policy", "solved", "less fixed k", "95%", "tokens", "of fixed k", "runs", "/solved", "worth", "95%"]]
    for name, one in found.policies.items():
        per = one.sandbox_runs_per_solved
        rows.append(
            [
                name, f"{one.solved.value:.3f}", f"{one.solved_less_fixed.value:+.3f}", _range(one.solved_less_fixed),
                f"{one.tokens.value:.0f}", f"{one.tokens_of_fixed.value:.2f}", f"{one.runs.value:.2f}",
                f"{per.value:.2f}" if per else "-", f"{one.worth_less_fixed.value:+.3f}", _range(one.worth_less_fixed),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    checks = "every check" if found.sees == "all" else "the checks that prompts show"
    lines.append(
        f"\n{found.problems} problems, {found.k} completions each, ranked by {found.ranker}; the loop sees {checks}. "
        f"Worth: solved less {found.run_price:g} a run and {found.token_price:g} for 1,000 tokens, less that of fixed k"
    )
    lines += [
        f"of the first {one.siblings} completions alone it says P(pass) {one.predicted.value:.3f}, and "
        f"{one.observed.value:.3f} are right" for one in found.calibration
    ]
    return "\n".join(lines)


def _range(interval: Interval) -> str:
    return f"[{interval.low:.2f}, {interval.high:.2f}]"
