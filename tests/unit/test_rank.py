"""Who is run first: costs in order, what has no cost last, baselines by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from atlas.errors import ConfigError, FingerprintMismatch, RankingError
from atlas.protocols import Fingerprint
from atlas.rank import BASELINES, ColumnRanker, CostFieldRanker, RandomRanker, baseline
from atlas.types import Candidate, Ranked, Task, TokenLogprob
from costfield.errors import InvalidFingerprint
from costfield.field import CostEstimate, CostField
from tests.support.domain import TASK, candidate

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Prints:
    """Fingerprints whose embedding is (number in the source, 99) and whose scalars are (1, the number)."""

    id: str = "fp"
    scalar_names: tuple[str, ...] = ("other", "number")

    async def fingerprints(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Fingerprint]:
        return [self._one(c.program.source) for c in candidates]

    def _one(self, source: str) -> Fingerprint:
        if source == "problem":
            return Fingerprint(embedding=np.zeros(0, np.float32), scalars=np.zeros(2, np.float32), problem="too long")
        number = float(source)
        return Fingerprint(embedding=np.array([number, 99], np.float32), scalars=np.array([1, number], np.float32))


@dataclass
class Field:
    """A Cost Field whose cost is the number; NaN is a complaint, and siblings with one are refused."""

    fingerprint_id: str = "fp"
    scalar_names: tuple[str, ...] = ("number",)
    dims: int = 1
    broken: bool = False
    asked: list[int] = field(default_factory=list)

    def complaints(self, embeddings: np.ndarray, scalars: np.ndarray) -> tuple[str, ...]:
        if self.broken:
            raise InvalidFingerprint("the arrays have the wrong shape")
        assert embeddings.shape[1] == self.dims and scalars.shape[1] == 1
        return tuple("its embedding is not finite" if np.isnan(x) else "" for x in embeddings[:, 0])

    def costs(self, embeddings: np.ndarray, scalars: np.ndarray) -> CostEstimate:
        assert np.isfinite(embeddings).all()
        self.asked.append(len(embeddings))
        cost = scalars[:, 0].astype(np.float64)
        return CostEstimate(cost=cost, p_pass=1 / (1 + np.exp(cost)), spread=0 * cost)


def ranker(**changes: Any) -> CostFieldRanker:
    return CostFieldRanker.open(Prints(), cast(CostField, Field(**changes)))


def order(ranked: Sequence[Ranked]) -> list[str]:
    return [r.candidate.program.source for r in ranked]


async def test_the_cheapest_comes_first_and_the_unscored_last_with_its_reason() -> None:
    sources = ["problem", "3", "nan", "-1.5", "2"]
    ranked = await ranker().rank(TASK, [candidate(s, i) for i, s in enumerate(sources)])
    assert order(ranked) == ["-1.5", "2", "3", "problem", "nan"]
    assert [r.cost for r in ranked] == [-1.5, 2, 3, None, None]
    assert [r.problem for r in ranked] == ["", "", "", "too long", "its embedding is not finite"]
    assert ranked[0].p_pass == pytest.approx(1 / (1 + np.exp(-1.5))) and ranked[-1].p_pass is None


async def test_one_spoilt_sibling_does_not_cost_the_others_their_costs() -> None:
    made = Field()
    await CostFieldRanker.open(Prints(), cast(CostField, made)).rank(TASK, [candidate("nan"), candidate("1", 1)])
    assert made.asked == [1]


async def test_ties_stand_in_the_order_in_which_the_model_gave_them() -> None:
    ranked = await ranker().rank(TASK, [candidate("1", 2), candidate("1", 0), candidate("1", 1)])
    assert [r.candidate.index for r in ranked] == [0, 1, 2]


async def test_where_none_has_a_cost_all_are_returned_without() -> None:
    ranked = await ranker().rank(TASK, [candidate("problem", 0), candidate("problem", 1)])
    assert [(r.cost, r.problem) for r in ranked] == [(None, "too long")] * 2
    assert await ranker().rank(TASK, []) == []


async def test_a_field_that_refuses_them_all_is_an_error() -> None:
    with pytest.raises(RankingError, match="wrong shape"):
        await ranker(broken=True).rank(TASK, [candidate("1")])


def test_a_field_for_other_fingerprints_is_refused_with_the_way_out() -> None:
    with pytest.raises(FingerprintMismatch, match=r"elsewhere.*fp.*train one"):
        ranker(fingerprint_id="elsewhere")


def spoken(source: str, index: int, logprob: float | None, copies: int = 1) -> Candidate:
    logprobs = None if logprob is None else (TokenLogprob(token=source.encode(), logprob=logprob),)
    return candidate(source, index, logprobs=logprobs, copies=copies)


POOL = [spoken("x = 1", 0, -2.0), spoken("x = 22", 1, -0.5), spoken("x = 1 + 0", 2, -1.0), spoken("print(y)", 3, -3.0)]
BY_HAND = {
    "first": [0, 1, 2, 3],
    "shortest": [0, 1, 3, 2],
    "log-probability": [1, 2, 0, 3],
    # Sums of similarities: 0: 2/4 + 3/5; 2: 3/5 + 2/6; 1: 2/4 + 2/6; 3: nothing in common with any.
    "agreement": [0, 2, 1, 3],
}


@pytest.mark.parametrize("name", BY_HAND)
async def test_baselines_by_hand(name: str) -> None:
    ranked = await baseline(name).rank(TASK, POOL[::-1])
    assert [r.candidate.index for r in ranked] == BY_HAND[name]
    assert [r.cost for r in ranked] == sorted(r.cost for r in ranked if r.cost is not None)


async def test_a_missing_log_probability_is_no_cost_of_zero() -> None:
    ranked = await baseline("log-probability").rank(TASK, [spoken("a = 1", 0, None), spoken("b = 1", 1, -9.0)])
    assert [r.candidate.index for r in ranked] == [1, 0]
    assert ranked[1].cost is None and "gives no logprob_mean" in ranked[1].problem


async def test_random_is_the_same_each_time_and_another_for_another_seed_or_task() -> None:
    pool = [candidate(f"x = {i}", i) for i in range(8)]

    async def drawn(seed: int, task: Task = TASK) -> list[int]:
        return [r.candidate.index for r in await RandomRanker(seed=seed).rank(task, pool)]

    assert await drawn(0) == await drawn(0) != await drawn(1)
    assert await drawn(0) != await drawn(0, TASK.model_copy(update={"id": "u"}))
    firsts = {(await drawn(seed))[0] for seed in range(60)}
    assert firsts == set(range(8))


@pytest.mark.parametrize("name", BASELINES)
async def test_every_baseline_returns_each_candidate_once(name: str) -> None:
    ranked = await baseline(name).rank(TASK, POOL)
    assert sorted(r.candidate.index for r in ranked) == [0, 1, 2, 3]
    assert await baseline(name).rank(TASK, []) == []
    assert baseline(name).name == name


def test_an_unknown_ranker_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no ranker 'best'.*cost-field.*first.*agreement"):
        baseline("best")
    assert isinstance(baseline("shortest"), ColumnRanker)
