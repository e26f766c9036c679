"""Training: finds a signal that is there, reports one that is not, repeats itself exactly, refuses what it must."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from costfield.config import TrainConfig
from costfield.data import kfold
from costfield.errors import GateFailed, InvalidExamples, TooFewProblems
from costfield.field import CostField
from costfield.model import Shape
from costfield.train import cross_validate, fit, train
from tests.support.labelled import QUICK, labelled


def quick(**changes: object) -> TrainConfig:
    return QUICK.model_copy(update=changes)


@pytest.fixture(scope="module")
def field() -> CostField:
    return train(labelled(problems=200), QUICK)


def test_costfield_training_finds_the_signal_and_says_how_much(field: CostField) -> None:
    measured = field.card.evaluation
    assert measured.selection.low > measured.random + 0.2
    assert measured.within_auroc.low > 0.75
    assert measured.gap_closed.value > 0.5
    assert measured.ece.value < 0.08
    assert measured.selection.n == measured.mixed > 150
    assert set(measured.baselines) == {"random", "first", "shortest", "longest", "log-probability", "agreement"}
    assert all(b.field_minus_this.low > 0 for b in measured.baselines.values())
    assert field.card.recommended
    assert measured.baselines["log-probability"].selection.value > measured.random + 0.05


def test_costfield_card_says_how_siblings_vary(field: CostField) -> None:
    found = field.card.siblings
    assert found is not None and 0 <= found.task < 3 and 0.3 < found.own < 4


def test_costfield_card_estimate_holds_on_problems_drawn_afresh(field: CostField) -> None:
    fresh = labelled(problems=300, seed=99, problem=[f"fresh{i}" for i in np.repeat(np.arange(300), 6)])
    said, found = field.card.evaluation, field.evaluate(fresh)
    assert found.selection.low < said.selection.high
    assert found.selection.high > said.selection.low
    assert found.within_auroc.value == pytest.approx(said.within_auroc.value, abs=0.06)
    assert found.ece.value < 0.08


def test_costfield_probabilities_mean_what_they_say(field: CostField) -> None:
    fresh = labelled(problems=600, seed=98, problem=[f"fresh{i}" for i in np.repeat(np.arange(600), 6)])
    says = field.estimate(fresh)
    assert says.p_pass[says.p_pass > 0.8].mean() == pytest.approx(fresh.passed[says.p_pass > 0.8].mean(), abs=0.06)
    assert (says.spread > 0).all()
    assert says.p_pass == pytest.approx(1 / (1 + np.exp(says.cost)))


def test_costfield_without_signal_is_reported_and_not_recommended() -> None:
    field = train(labelled(problems=150, signal=0.0, seed=1), QUICK)
    measured = field.card.evaluation
    assert measured.selection.low < measured.random < measured.selection.high
    assert not field.card.recommended
    assert any(line.startswith("Not shown to beat random") for line in field.card.caveats), field.card.caveats


def test_costfield_training_repeats_itself_and_leaves_the_process_as_it_was(field: CostField) -> None:
    before = torch.random.get_rng_state(), torch.get_num_threads()
    again = train(labelled(problems=200), QUICK)
    assert again.card == field.card
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    other = train(labelled(problems=200), quick(seed=1))
    assert other.card.weights_sha256 != field.card.weights_sha256


def test_costfield_no_row_is_costed_by_a_network_that_saw_its_labels() -> None:
    examples = labelled(problems=60)
    held_out = next(kfold(examples, QUICK.folds, QUICK.seed))[1]
    flipped = np.array(examples.passed)
    flipped[held_out] = np.random.default_rng(0).permutation(flipped[held_out].reshape(-1, 6), axis=1).ravel()
    before, after = (
        cross_validate(labelled(problems=60, passed=passed), QUICK).cost for passed in (examples.passed, flipped)
    )
    assert np.array_equal(before[held_out], after[held_out])
    others = np.setdiff1d(np.arange(len(examples)), held_out)
    assert not np.array_equal(before[others], after[others])


def test_costfield_hidden_layers_faults_and_dropout_train_too() -> None:
    config = quick(
        optimizer="adamw",
        learning_rate=0.01,
        shape=Shape(rank_hidden=(16,), task_hidden=(8,), dropout=0.2),
        l2=0.01,
        fault_weight=0.3,
        components=6,
    )
    field = train(labelled(problems=150), config)
    assert field.card.fault_names == ("ERROR", "FAIL", "PASS")
    assert field.card.evaluation.selection.low > field.card.evaluation.random + 0.1


def test_costfield_fault_targets_need_a_hidden_layer_and_faults() -> None:
    with pytest.raises(InvalidExamples, match="need recorded faults and a ranking head with hidden layers"):
        train(labelled(), quick(fault_weight=0.5))
    with pytest.raises(InvalidExamples, match="need recorded faults"):
        train(labelled(fault=None), quick(fault_weight=0.5, shape=Shape(rank_hidden=(4,))))


def test_costfield_trains_without_embeddings_and_says_what_it_needs() -> None:
    scalars = np.array(labelled(signal=6.0).scalars)
    scalars[::7, 2] = np.nan
    field = train(labelled(signal=6.0, scalars=scalars), quick(embeddings=False))
    assert field.dims == 0
    assert field.scalar_names == ("logprob_mean", "chars", "agreement")
    assert field.card.needed == ("logprob_mean", "chars")
    assert field.card.evaluation.selection.low > field.card.evaluation.random
    assert field.costs(np.zeros((2, 0)), [[-0.1, 50, np.nan], [-0.9, 50, 0.2]]).cost.argmin() == 0


def test_costfield_reads_only_the_scalars_it_is_told_to_and_still_compares_with_all_baselines() -> None:
    field = train(labelled(), quick(scalars=("agreement",)))
    assert field.scalar_names == ("agreement",)
    assert "log-probability" in field.card.evaluation.baselines
    with_index = labelled(scalars=np.zeros((720, 1)) + np.arange(720)[:, None] % 6, scalar_names=("index",))
    assert train(with_index, QUICK).scalar_names == ()


def test_costfield_scalars_that_nobody_has_are_left_out_or_refused_when_asked_for() -> None:
    scalars = np.array(labelled().scalars)
    scalars[:, 0] = np.nan
    without = labelled(scalars=scalars)
    field = train(without, QUICK)
    assert field.scalar_names == ("chars", "agreement")
    assert any("Not compared with log-probability" in line for line in field.card.caveats)
    with pytest.raises(InvalidExamples, match="available for no candidate: logprob_mean"):
        train(without, quick(scalars=("logprob_mean", "chars")))


def test_costfield_refuses_too_little_and_one_sided_data() -> None:
    with pytest.raises(TooFewProblems, match="at least 40 are needed, 10 more"):
        train(labelled(problems=30), QUICK)
    with pytest.raises(InvalidExamples, match="all 720 candidates passed"):
        train(labelled(passed=np.ones(720)), QUICK)
    with pytest.raises(TooFewProblems, match="have both right and wrong candidates; at least 20"):
        train(labelled(passed=np.repeat(np.arange(120) % 2, 6)), QUICK)


def test_costfield_fingerprints_that_do_not_differ_fail_the_run() -> None:
    one_per_problem = np.repeat(labelled(siblings=1).embeddings, 6, axis=0)
    with pytest.raises(GateFailed, match="dead"):
        train(labelled(embeddings=one_per_problem, scalars=np.zeros((720, 0)), scalar_names=()), QUICK)


def test_costfield_near_duplicates_stay_together() -> None:
    examples = labelled(problems=80, group=[f"g{i // 2}" for i in np.repeat(np.arange(80), 6)])
    field = train(examples, QUICK)
    assert field.card.data.problems["p0003"] == "g1"
    assert len(set(field.card.data.problems.values())) == 40


def test_costfield_members_differ_and_are_averaged_in_logits() -> None:
    ensemble = fit(labelled(), QUICK, seed=0)
    first, second = ensemble.members[0].rank_head.weight, ensemble.members[1].rank_head.weight
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("members", 1),
        ("validation", 0.6),
        ("folds", 1),
        ("learning_rate", 0),
        ("optimizer", "sgd"),
        ("surprise", 1),
        ("shape", {"dropout": 0.1}),
    ],
)
def test_costfield_settings_that_cannot_work_are_refused(setting: str, value: object) -> None:
    with pytest.raises(ValidationError, match=setting):
        TrainConfig.model_validate({setting: value})
