"""Each gate lets an honest field through and stops the very thing it is there for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from costfield import gates
from costfield.data import Examples
from costfield.ensemble import Estimates
from costfield.errors import GateFailed
from costfield.train import fit
from tests.support.labelled import QUICK, labelled

F64 = npt.NDArray[np.float64]


def test_costfield_prompt_only_must_be_chance_exactly() -> None:
    examples = labelled()
    difficulty = np.random.default_rng(0).normal(size=120)[examples.codes()]
    assert "AUROC 0.5" in gates.prompt_only_is_chance(examples, difficulty).detail
    leaky = difficulty + 1e-9 * examples.embeddings[:, 0]
    with pytest.raises(GateFailed, match="difficulty head tells siblings apart"):
        gates.prompt_only_is_chance(examples, leaky)


def test_costfield_dead_field_is_stopped() -> None:
    examples = labelled()
    alive = np.random.default_rng(0).normal(size=len(examples))
    assert "100.0%" in gates.field_is_alive(examples, alive).detail
    with pytest.raises(GateFailed, match=r"same cost in 100% of problems: it is dead"):
        gates.field_is_alive(examples, alive[examples.codes()])
    with pytest.raises(GateFailed, match="dead"):
        gates.field_is_alive(labelled(siblings=1), alive[:120])


def test_costfield_identical_siblings_must_tie() -> None:
    examples = labelled()

    def saying(cost: F64) -> Estimates:
        return Estimates(cost=cost, p_pass=cost, spread=cost, task_logit=cost)

    gates.identical_are_tied(examples, lambda rows: saying(rows.embeddings[:, 0].astype(np.float64)))
    with pytest.raises(GateFailed, match="identical siblings differ in cost"):
        gates.identical_are_tied(examples, lambda rows: saying(np.arange(len(rows), dtype=np.float64)))


def test_costfield_shuffled_labels_leave_an_honest_recipe_at_chance() -> None:
    gate = gates.shuffled_is_chance(labelled(), lambda a, b: fit(a, QUICK, 0).estimate(b).cost, seed=0)
    assert "p = " in gate.detail


def test_costfield_shuffled_labels_catch_labels_that_reach_the_features() -> None:
    with pytest.raises(GateFailed, match="label leaks"):
        gates.shuffled_is_chance(labelled(), lambda _, rows: -rows.passed.astype(np.float64), seed=0)


def test_costfield_shuffled_labels_catch_a_split_by_candidate() -> None:
    def split_by_row(_: Examples, rows: Examples) -> F64:
        """The other siblings' pass rate: what a network learns that meets a problem on both sides of a split."""
        codes, right = rows.codes(), rows.passed.astype(np.float64)
        others = np.bincount(codes, weights=right)[codes] - right
        return -others / 5

    with pytest.raises(GateFailed, match="still selects at"):
        gates.shuffled_is_chance(labelled(), split_by_row, seed=0)


def test_costfield_shuffled_gate_stops_one_honest_recipe_in_a_thousand() -> None:
    examples = labelled(problems=60)
    told = []
    for seed in range(200):  # any costs that know nothing of the held-out labels
        rng = np.random.default_rng(seed)
        gate = gates.shuffled_is_chance(examples, lambda _, rows, r=rng: r.normal(size=len(rows)), seed, 400)
        told.append(float(gate.detail.rsplit("p = ", 1)[1]))
    assert 0.4 < np.mean(told) < 0.65  # p-values of a true null are uniform, or larger
    assert 0.005 < np.mean(np.array(told) < 0.05) < 0.1


def test_costfield_shuffling_keeps_each_problems_solve_rate() -> None:
    examples = labelled()
    shuffled = gates.shuffled_within(examples, np.random.default_rng(0))
    assert not np.array_equal(shuffled, examples.passed)
    before, after = (np.bincount(examples.codes(), weights=y) for y in (examples.passed, shuffled))
    assert np.array_equal(before, after)


def test_costfield_shuffling_is_uniform_over_siblings() -> None:
    one = replace(labelled(problems=1), passed=np.arange(6) == 0)
    rng = np.random.default_rng(0)
    landed = np.sum([gates.shuffled_within(one, rng) for _ in range(3000)], axis=0)
    assert landed == pytest.approx(np.full(6, 500), abs=80)
