"""Policies played on recorded pools: by hand on a few problems, and from the files that pools are kept in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atlas import extract
from atlas.errors import ConfigError, ModelUnavailable
from atlas.evals import policy_pools
from atlas.evals.policy import BASELINE, Contestant, compare_policies, contestants, play, table
from atlas.evals.policy_pools import _positions
from atlas.evals.replayed import RELATIVE, Dealer, GradedSandbox, Recorded, Remembering, SubsetFingerprints, Within
from atlas.features import SCALARS, scalars
from atlas.policy import ExpectedCost, FixedRounds
from atlas.protocols import Fingerprint, Sampling
from atlas.rank import baseline
from atlas.types import Budget, Candidate, Completion, Ranked, Task
from costfield.siblings import Siblings
from tests.support.domain import TASK, candidate, code

pytestmark = pytest.mark.anyio

SIBLINGS = Siblings(task=0.0, own=0.3)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Told:
    """Ranks by the P(pass) that each program says of itself: `p = 70` is 0.70."""

    name = "told"

    async def rank(self, task: Task, candidates: list[Candidate]) -> list[Ranked]:
        said = [(int(c.program.source.split("=")[1].split("#")[0]) / 100, c) for c in candidates]
        return [Ranked(candidate=c, cost=-p, p_pass=p) for p, c in sorted(said, key=lambda one: -one[0])]


def recorded(*programs: str, shown: tuple[str, ...] = (), name: str = "t") -> Recorded:
    """Completions of these programs, each of 10 tokens to a prompt of 5; those that say `right` are right."""
    completions = tuple(Completion(text=code(source), finish_reason="stop") for source in programs)
    made = extract.candidates(TASK, completions)
    passed = {c.digest: "right" in c.program.source for c in made}
    return Recorded(
        task=TASK.model_copy(update={"id": name}), completions=completions, tokens=(10,) * len(programs),
        prompt_tokens=5, passed=passed, ranker=Told(),  # type: ignore[arg-type]
        shown={c.digest: passed[c.digest] or c.program.source.strip() in shown for c in made},
    )


EASY = recorded("p = 90  # right", "p = 80  # right", "p = 10", "p = 20", name="easy")
SECOND = recorded("p = 60", "p = 50  # right", "p = 10", "p = 20", name="second")
HOPELESS = recorded("p = 2", "p = 1", "p = 3", "p = 1 ", name="hopeless")
OWN = ExpectedCost(siblings=SIBLINGS, run_price=0.05, token_price=1.0, group=2)


async def test_what_each_problem_comes_to_by_hand() -> None:
    fixed = Contestant(name="fixed", policy=FixedRounds(), budget=Budget(rounds=1, candidates=4))
    easy = await play(EASY, 4, fixed, sees="all")
    assert (easy.solved, easy.completions, easy.tokens, easy.runs) == (True, 4, 45, 1)
    assert not (await play(SECOND, 4, fixed, sees="all")).solved
    own = Contestant(name="own", policy=OWN, budget=Budget(rounds=32))
    easy = await play(EASY, 4, own, sees="all")
    assert (easy.solved, easy.completions, easy.tokens, easy.runs) == (True, 2, 25, 1)
    second = await play(SECOND, 4, own, sees="all")
    assert (second.solved, second.completions, second.tokens, second.runs) == (True, 2, 25, 2)
    hopeless = await play(HOPELESS, 4, own, sees="all")
    assert (hopeless.solved, hopeless.handed, hopeless.runs) == (False, False, 0)


async def test_the_comparison_is_paired_and_counts_everything() -> None:
    found = await compare_policies([EASY, SECOND, HOPELESS], 4, contestants(4, OWN), OWN)
    fixed, own = found.policies[BASELINE], found.policies["expected cost, as set"]
    assert (fixed.solved.value, own.solved.value) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert own.solved_less_fixed.value == pytest.approx(1 / 3) and fixed.solved_less_fixed.value == 0
    assert fixed.tokens.value == 45 and fixed.runs.value == 1 and own.runs.value == 1
    assert own.sandbox_runs_per_solved is not None and own.sandbox_runs_per_solved.value == pytest.approx(3 / 2)
    assert fixed.worth.value == pytest.approx(1 / 3 - 0.05 - 0.045)
    assert own.worth_less_fixed.value == pytest.approx(own.worth.value - fixed.worth.value)
    two = found.calibration[1]
    assert two.siblings == 2 and two.observed.value == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert two.predicted.value == pytest.approx((0.85 + 0.55 + 0.015) / 3)
    every = found.policies["fixed k, every run until a pass"]
    assert every.solved.value == pytest.approx(2 / 3) and every.runs.value == pytest.approx((1 + 2 + 4) / 3)
    assert found.problems == 3 and "3 problems" in table(found)
    with pytest.raises(ValueError, match="no problem"):
        await compare_policies([], 4, contestants(4, OWN), OWN)


def test_the_policy_is_played_at_other_prices_of_runs_and_of_tokens_one_at_a_time() -> None:
    priced = {one.name: one.policy for one in contestants(4, OWN) if one.name.startswith("expected cost")}
    prices = {name: (one.run_price, one.token_price) for name, one in priced.items() if isinstance(one, ExpectedCost)}
    assert prices["expected cost, as set"] == (0.05, 1.0)
    assert prices["expected cost, 0.8 a run"] == (0.8, 1.0)
    assert prices["expected cost, 2 for 1,000 tokens"] == (0.05, 2.0)
    assert len(set(prices.values())) == len(priced) == len(prices), "no price is played twice"


async def test_where_only_some_checks_are_seen_a_wrong_program_can_be_handed_out() -> None:
    fooled = recorded("p = 60", "p = 50  # right", shown=("p = 60",))
    fixed = Contestant(name="fixed", policy=FixedRounds(), budget=Budget(rounds=1, candidates=2))
    seen = await play(fooled, 2, fixed, sees="visible")
    assert seen.handed and not seen.solved
    found = await compare_policies([fooled], 2, [fixed], OWN, sees="visible")
    assert found.policies["fixed"].wrong.value == 1 and found.policies["fixed"].tokens_per_solved is None


async def test_a_pool_is_dealt_once_and_a_policy_keeps_within_it() -> None:
    dealer = Dealer(recorded=EASY)
    sampling = Sampling(n=3, temperature=0, seed=0, max_tokens=1)
    assert [len((await dealer.sample([], sampling))[0]) for _ in range(2)] == [3, 1]
    with pytest.raises(ModelUnavailable, match="used up"):
        await dealer.sample([], sampling)
    greedy = ExpectedCost(siblings=SIBLINGS, run_price=0.0, token_price=0.0, group=3)
    played = await play(HOPELESS, 4, Contestant(name="g", policy=greedy, budget=Budget(rounds=32)), sees="all")
    assert played.completions == 4 and played.runs == 4
    assert Within(policy=greedy, k=3).name == "expected-cost" and GradedSandbox(passed={}).isolation == "recorded"


async def test_only_what_is_relative_to_siblings_changes_with_them() -> None:
    """If a new scalar depends on siblings, it belongs into `RELATIVE`."""
    pool = [candidate(f"def f(x):\n    return x + {i}\n", i, copies=1 + i % 2) for i in range(4)]
    whole, part = scalars(TASK, pool), scalars(TASK, pool[:2])
    changed = {name for i, name in enumerate(SCALARS) if not np.array_equal(whole[:2, i], part[:, i], equal_nan=True)}
    assert changed <= set(RELATIVE)
    known = {
        c.digest: Fingerprint(embedding=np.zeros(2, np.float32), scalars=row)
        for c, row in zip(pool, whole, strict=True)
    }
    subset = SubsetFingerprints(id="fp", scalar_names=SCALARS, known=known)
    made = await subset.fingerprints(TASK, pool[:2])
    assert np.array_equal(np.stack([one.scalars for one in made]), part, equal_nan=True)


async def test_a_ranking_is_remembered_for_the_candidates_at_hand() -> None:
    remembering = Remembering(ranker=baseline("first"))
    first, again = [[candidate("a = 1", 0), candidate("b = 2", 1)] for _ in range(2)]
    await remembering.rank(TASK, first)
    ranked = await remembering.rank(TASK, again)
    assert [r.candidate for r in ranked] == again and len(remembering.kept) == 1 and remembering.name == "first"


def test_copies_fill_the_gaps_of_labelled_shards() -> None:
    rows = [{"index": 0, "copies": 2, "digest": "a"}, {"index": 2, "copies": 1, "digest": "b"}]
    assert [row and row["digest"] for row in _positions(rows)] == ["a", "a", "b"]
    assert [row and row["digest"] for row in _positions([{"index": 1, "copies": 1, "digest": "c"}])] == [None, "c"]


def test_a_field_is_not_asked_about_a_run_that_it_was_trained_on(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from tests.support.evals import problem

    field = SimpleNamespace(card=SimpleNamespace(data=SimpleNamespace(problems={"a": "a"})))
    with pytest.raises(ConfigError, match="was trained on a"):
        policy_pools.run_pool(None, [problem("a")], field)  # type: ignore[arg-type]
