"""The losses against sums written out, and batches that keep problems whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from costfield.config import TrainConfig
from costfield.features import FeatureMap
from costfield.model import Logits, Network, Shape
from costfield.objective import Batch, log_loss, log_sum_exp, total_loss, within_problem_loss
from tests.support.labelled import labelled


def batch_of(**columns: object) -> Batch:
    examples = labelled(**columns)  # type: ignore[arg-type]
    return Batch.of_examples(examples, FeatureMap.fit(examples, None, 12.0), ("ERROR", "FAIL", "PASS"))


def test_costfield_within_problem_loss_is_the_chance_a_softmax_errs() -> None:
    batch = batch_of(problems=8, siblings=4, seed=3)
    r = torch.randn(32, generator=torch.Generator().manual_seed(0))
    by_hand = []
    for q in range(8):
        e, right = r[batch.of == q].exp(), batch.passed[batch.of == q] > 0
        if right.any() and not right.all():
            by_hand.append(-torch.log(e[right].sum() / e.sum()))
    assert len(by_hand) == int(batch.mixed.sum()) > 2
    assert float(within_problem_loss(r, batch)) == pytest.approx(float(torch.stack(by_hand).mean()), rel=1e-5)


def test_costfield_difficulty_cancels_in_the_within_problem_loss() -> None:
    batch = batch_of(problems=8, siblings=4)
    r = torch.randn(32, generator=torch.Generator().manual_seed(0))
    shift = torch.randn(8, generator=torch.Generator().manual_seed(1)) * 10
    assert float(within_problem_loss(r + shift[batch.of], batch)) == pytest.approx(
        float(within_problem_loss(r, batch)), rel=1e-4
    )
    assert float(log_loss(Logits(rank=r, task=shift, fault=None), batch)) > 1


def test_costfield_within_problem_loss_is_nothing_without_mixed_problems() -> None:
    batch = batch_of(problems=5, siblings=2, passed=np.repeat([0, 1, 1, 0, 1], 2))
    r = torch.randn(10, requires_grad=True)
    assert float(within_problem_loss(r, batch)) == 0


def test_costfield_log_sum_exp_survives_extremes() -> None:
    values, of = torch.tensor([1000.0, 999.0, -1000.0]), torch.tensor([0, 0, 2])
    got = log_sum_exp(values, of, 3)
    assert got.tolist() == pytest.approx([1000 + np.log1p(np.exp(-1)), -np.inf, -1000])


def test_costfield_each_problem_weighs_the_same_in_the_log_loss() -> None:
    problem = ["a"] * 20 + ["b"] * 2 + ["c"] * 2
    batch = batch_of(problems=4, problem=problem, passed=[1] * 20 + [0, 0, 1, 0])
    says = Logits(rank=torch.zeros(24), task=torch.tensor([2.0, 0.0, 0.0]), fault=None)
    expected = (np.log1p(np.exp(-2)) + 2 * np.log(2)) / 3
    assert float(log_loss(says, batch)) == pytest.approx(expected, rel=1e-5)


def test_costfield_total_loss_is_the_sum_of_its_parts() -> None:
    batch = batch_of(problems=10)
    network = Network(batch.rank.shape[1], batch.task.shape[1], Shape(rank_hidden=(4,)), faults=3).requires_grad_(False)
    torch.nn.init.ones_(network.rank_head.weight)
    says = network(batch.rank, batch.task)
    outcome = torch.nn.functional.cross_entropy(says.fault, batch.fault)
    weights = sum(float(w.square().sum()) for w in network.parameters() if w.ndim == 2)
    by_hand = log_loss(says, batch) + 0.7 * within_problem_loss(says.rank, batch) + 2 * outcome + 0.05 * weights
    total = total_loss(network, batch, TrainConfig(listwise=0.7, fault_weight=2.0, l2=0.1))
    assert float(total) == pytest.approx(float(by_hand), rel=1e-5)


def test_costfield_taking_problems_keeps_their_rows_whole() -> None:
    batch = batch_of(problems=9, siblings=3)
    problems = torch.tensor([7, 2, 5])
    part = batch.take(problems)
    assert torch.equal(part.task, batch.task[problems])
    assert torch.equal(part.mixed, batch.mixed[problems])
    for new, old in enumerate(problems.tolist()):
        assert torch.equal(part.rank[part.of == new], batch.rank[batch.of == old])
        assert torch.equal(part.passed[part.of == new], batch.passed[batch.of == old])


def test_costfield_a_new_network_ties_all_siblings_and_the_ranking_head_has_no_bias() -> None:
    network = Network(5, 4, Shape(rank_hidden=(8, 3), task_hidden=(6,)))
    says = network(torch.randn(7, 5), torch.randn(2, 4))
    assert says.rank.tolist() == [0] * 7
    assert says.task.shape == (2,)
    assert network.rank_head.bias is None
