"""Experts: who ranks what, that none starves, what they may cost, and that a field with them is kept like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from costfield.config import TrainConfig
from costfield.data import Examples
from costfield.ensemble import Ensemble
from costfield.errors import InvalidRecipe
from costfield.experts import Mixture, Routing, balance, gates, load, narrowed
from costfield.features import FeatureMap
from costfield.field import CostField
from costfield.model import Network, Shape
from costfield.objective import Batch, log_loss, total_loss, within_problem_loss
from costfield.report import card_markdown
from costfield.train import fit, train
from tests.support.labelled import FINGERPRINT, QUICK, labelled

SHAPE = Shape(rank_hidden=(16,))
MOE = TrainConfig(
    **(QUICK.model_dump() | {"architecture": "moe", "optimizer": "adamw", "shape": SHAPE, "learning_rate": 0.02})
)
ROUTE = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6], [0.4, 0.35, 0.25]])


def routed(top: int, experts: int = 2, **more: object) -> TrainConfig:
    return MOE.model_copy(update={"routing": Routing(top=top, experts=experts), **more})


@pytest.fixture(scope="module")
def field() -> CostField:
    return train(labelled(problems=120), MOE.model_copy(update={"routing": Routing(experts=3)}))


def test_experts_alone_keep_their_probability_and_two_share_a_gate_of_one() -> None:
    assert gates(ROUTE, 1)[0].tolist() == pytest.approx([0.5, 0, 0])
    assert gates(ROUTE, 2)[0].tolist() == pytest.approx([0.625, 0, 0.375])
    for top in (1, 2):
        assert ((gates(ROUTE, top) > 0).sum(dim=1) == top).all()


def test_experts_balance_is_one_for_even_use_and_all_of_them_for_one() -> None:
    assert load(ROUTE, 1).tolist() == pytest.approx([0.5, 0.25, 0.25])
    by_hand = 3 * (0.5 * 1.3 / 4 + 0.25 * 1.25 / 4 + 0.25 * 1.45 / 4)
    assert float(balance(ROUTE, 1)) == pytest.approx(by_hand)
    assert float(load(ROUTE, 2).sum()) == pytest.approx(1)
    assert float(balance(torch.eye(4), 1)) == pytest.approx(1)
    assert float(balance(torch.eye(4)[[0, 0, 0]], 1)) == pytest.approx(4)


def test_experts_costs_are_the_gated_sum_written_out() -> None:
    torch.manual_seed(0)
    network = Mixture(7, 5, SHAPE, Routing(experts=3, top=2), faults=2)
    for expert in network.experts:
        torch.nn.init.normal_(expert.head.weight)
    rank, task, of = torch.randn(9, 7), torch.randn(4, 5), torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 3])
    says = network(rank, task, of)
    gate = gates(says.route, 2)
    for row in range(9):
        words = [expert(rank[row : row + 1]) for expert in network.experts]
        expected = sum(gate[of[row], e] * words[e][0] for e in range(3))
        outcomes = sum(gate[of[row], e] * words[e][1] for e in range(3))
        assert says.rank[row].item() == pytest.approx(expected.item(), rel=1e-5)
        assert says.fault[row].tolist() == pytest.approx(outcomes[0].tolist(), rel=1e-5)
    assert says.task.tolist() == pytest.approx((says.route @ network.level).tolist())


def test_experts_that_are_not_chosen_do_not_work() -> None:
    network = Mixture(7, 5, SHAPE, Routing(experts=4, top=1))
    rows: list[int] = []
    for expert in network.experts:
        expert.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    network(torch.randn(30, 7), torch.randn(6, 5), torch.arange(6).repeat_interleave(5))
    assert sum(rows) == 30 and all(count % 5 == 0 for count in rows)


def test_experts_add_their_balance_to_the_loss() -> None:
    examples = labelled(problems=10)
    batch = Batch.of_examples(examples, FeatureMap.fit(examples, None, 12.0), ())
    config = routed(1).model_copy(update={"l2": 0.0, "routing": Routing(experts=2, balance=0.5)})
    network = config.network(batch.rank.shape[1], batch.task.shape[1], 0)
    network.requires_grad_(False)
    says = network(batch.rank, batch.task, batch.of)
    plain = log_loss(says, batch) + config.listwise * within_problem_loss(says.rank, batch)
    assert float(total_loss(network, batch, config)) == pytest.approx(float(plain + 0.5 * says.balance), rel=1e-5)


@pytest.mark.parametrize("experts", [2, 4, 8])
@pytest.mark.parametrize("shape", [Shape(rank_hidden=(64, 32)), Shape(rank_hidden=(48,), task_hidden=(8,))])
@pytest.mark.parametrize("faults", [0, 3])
def test_experts_together_cost_no_more_than_the_plain_network(experts: int, shape: Shape, faults: int) -> None:
    mixture = Mixture(20, 18, shape, Routing(experts=experts), faults)
    budget = sum(p.numel() for p in Network(20, 18, shape, faults).parameters())
    spent = sum(p.numel() for p in mixture.parameters())
    assert 0.6 * budget < spent <= budget
    assert len(mixture.experts) == experts


def test_experts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidRecipe, match="8 experts do not fit"):
        narrowed(20, 18, Shape(rank_hidden=(4,)), Routing(experts=8), 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": Shape()}, "needs shape.rank_hidden"),
        ({"optimizer": "lbfgs"}, "the loss jumps"),
        ({"routing": {"experts": 1}}, "experts"),
        ({"routing": {"experts": 9}}, "experts"),
        ({"routing": {"top": 3}}, "top"),
        ({"routing": {"balance": -1}}, "balance"),
        ({"architecture": "forest"}, "architecture"),
    ],
)
def test_experts_settings_that_cannot_work_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainConfig.model_validate(MOE.model_dump() | change)


def two_kinds(problems: int, seed: int) -> Examples:
    """Tasks of two kinds, told apart by direction 1, in which opposite values of direction 0 are right."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(problems) % 2 * 2 - 1, 6)
    embeddings = rng.standard_normal((6 * problems, 4))
    embeddings[:, 1] = 3 * kind + np.repeat(rng.standard_normal(problems), 6)
    passed = rng.random(6 * problems) < 1 / (1 + np.exp(-4 * kind * embeddings[:, 0] - kind))
    return labelled(problems=problems, seed=seed, embeddings=embeddings, passed=passed)


@pytest.mark.parametrize("top", [1, 2])
def test_experts_learn_what_one_linear_ranker_cannot(top: int) -> None:
    """Two kinds of task that want opposite rankings: routing by task is what tells them apart."""
    seen, fresh = two_kinds(120, seed=0), two_kinds(100, seed=1)
    codes = fresh.codes()

    def right(ensemble: Ensemble) -> float:
        cost = ensemble.estimate(fresh).cost
        first = [rows[np.argmin(cost[rows])] for rows in (np.flatnonzero(codes == q) for q in range(100))]
        mixed = [0 < fresh.passed[codes == q].sum() < 6 for q in range(100)]
        return float(fresh.passed[np.array(first)[mixed]].mean())

    chance = right(fit(seen, QUICK, seed=0))
    assert right(fit(seen, routed(top), seed=0)) > max(0.85, chance + 0.2)


def test_experts_of_a_field_all_work_and_the_card_says_how_much(field: CostField) -> None:
    loads = field.card.experts
    assert loads is not None and len(loads) == 3
    assert sum(one.share for one in loads) == pytest.approx(1)
    assert sum(one.probability for one in loads) == pytest.approx(1)
    assert [one.level for one in loads] == sorted(one.level for one in loads)
    assert all(0.1 < one.least <= one.share <= one.most < 0.8 for one in loads)
    assert f"{loads[0].share:.0%}" in card_markdown(field.card)
    assert field.card.evaluation.selection.low > field.card.evaluation.random + 0.1


def test_experts_router_says_how_hard_a_task_is(field: CostField) -> None:
    examples = labelled(problems=80, seed=5)
    codes = examples.codes()
    logits, hardest, solved = [], [], []
    for q in range(80):
        rows = codes == q
        says = field.difficulty(examples.embeddings[rows], examples.scalars[rows])
        assert says.route is not None and says.route.sum() == pytest.approx(1)
        logits.append(says.logit)
        hardest.append(says.route[0])
        solved.append(examples.passed[rows].mean())
    assert np.corrcoef(logits, solved)[0, 1] > 0.6
    assert np.corrcoef(hardest, solved)[0, 1] < -0.4
    again = field.estimate(examples).task_logit
    assert again[np.unique(codes, return_index=True)[1]] == pytest.approx(np.array(logits), abs=1e-5)


def test_experts_are_saved_and_loaded_like_any_field(field: CostField, tmp_path: Path) -> None:
    field.save(tmp_path)
    loaded = CostField.load(tmp_path, fingerprint_id=FINGERPRINT)
    one = labelled(problems=1, seed=6)
    assert np.array_equal(loaded.costs(one.embeddings, one.scalars).cost, field.costs(one.embeddings, one.scalars).cost)
    assert loaded.card.experts == field.card.experts


def test_experts_are_no_part_of_a_plain_field() -> None:
    plain = train(labelled(problems=60), QUICK)
    one = labelled(problems=1, seed=6)
    assert plain.card.experts is None
    assert plain.difficulty(one.embeddings, one.scalars).route is None
    assert "expert" not in card_markdown(plain.card)


def test_experts_cost_equal_siblings_alike_wherever_they_stand() -> None:
    fitted = fit(labelled(problems=60), MOE, seed=0)
    one = labelled(problems=1, siblings=11, seed=3)
    twice = np.array([4, 0, 1, 4, 2, 3, 4, 5, 6, 7, 8, 9, 10, 4])
    cost = fitted(one.embeddings[twice], one.scalars[twice], np.zeros(14, np.int64)).cost
    assert len(set(cost[twice == 4])) == 1
    assert len(set(cost)) == 11


def test_experts_can_be_trained_by_muon_too() -> None:
    config = routed(2, optimizer="muon", shape=Shape(rank_hidden=(32, 16)))
    fitted = fit(labelled(problems=60), config, seed=0)
    assert all(min(losses) < losses[0] for losses in fitted.history)
