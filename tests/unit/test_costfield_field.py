"""The artifact: costs of one task's siblings, and a folder that is verified when read and never half replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from costfield.bootstrap import Estimate
from costfield.errors import FingerprintMismatch, InvalidExamples, InvalidField, InvalidFingerprint, LeakedProblems
from costfield.field import CARD, CostField, read_card
from costfield.report import card_markdown
from costfield.train import train
from tests.support.labelled import FINGERPRINT, QUICK, labelled


@pytest.fixture(scope="module")
def field() -> CostField:
    scalars = np.array(labelled().scalars)
    scalars[::9, 2] = np.nan  # agreement may be missing, the others may not
    return train(labelled(scalars=scalars), QUICK)


@pytest.fixture
def saved(field: CostField, tmp_path: Path) -> Path:
    field.save(tmp_path / "field")
    return tmp_path / "field"


def siblings(k: int = 6, seed: int = 50) -> tuple[np.ndarray, np.ndarray]:
    one = labelled(problems=1, siblings=k, seed=seed)
    return np.array(one.embeddings), np.array(one.scalars)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_costfield_costs_are_finite_ordered_and_agree_with_p_pass(field: CostField) -> None:
    vectors, scalars = siblings()
    got = field.costs(vectors, scalars)
    assert got.cost.shape == got.p_pass.shape == got.spread.shape == (6,)
    assert got.cost.dtype == np.float64
    assert np.array_equal(np.argsort(got.cost), np.argsort(-got.p_pass))
    better = vectors.copy()
    better[4, 0] += 10  # the direction that made the labels
    assert field.costs(better, scalars).cost.argmin() == 4


def test_costfield_one_candidate_alone_has_a_cost(field: CostField) -> None:
    got = field.costs(*siblings(1))
    assert np.isfinite([got.cost[0], got.p_pass[0], got.spread[0]]).all()


def test_costfield_one_candidate_alone_agrees_with_nobody() -> None:
    """A field whose training candidates all had siblings takes a lone one's missing agreement for the usual."""
    vectors, scalars = siblings(1)
    field = train(labelled(), QUICK)
    assert field.card.needed == ("logprob_mean", "chars")
    usual = field.ensemble.features.scalar_task_mean[2]
    assumed = field.costs(vectors, [[*scalars[0, :2], usual]])
    scalars[0, 2] = np.nan
    assert field.costs(vectors, scalars).cost == pytest.approx(assumed.cost, abs=1e-4)
    assert field.costs(vectors, [[*scalars[0, :2], usual + 3]]).cost != pytest.approx(assumed.cost, abs=1e-4)


def test_costfield_order_of_siblings_does_not_matter_and_tasks_do_not_mix(field: CostField) -> None:
    vectors, scalars = siblings()
    order = np.array([3, 0, 5, 1, 2, 4])
    assert field.costs(vectors[order], scalars[order]).cost == pytest.approx(field.costs(vectors, scalars).cost[order])
    both = labelled(problems=2, seed=51)
    alone = np.concatenate([field.costs(both.embeddings[s], both.scalars[s]).cost for s in (slice(6), slice(6, 12))])
    assert field.estimate(both).cost == pytest.approx(alone)


def test_costfield_what_cannot_be_costed_is_refused_by_name(field: CostField) -> None:
    vectors, scalars = siblings()
    scalars[2, 2] = np.nan
    assert np.isfinite(field.costs(vectors, scalars).cost).all()
    vectors[1, 3], scalars[4, 0], scalars[5, 2] = np.nan, np.nan, np.inf
    assert field.complaints(vectors, scalars) == (
        "",
        "its embedding is not finite",
        "",
        "",
        "this field needs logprob_mean as a finite number",
        "this field needs agreement as a finite number",
    )
    with pytest.raises(InvalidFingerprint, match="3 of 6 fingerprints cannot be costed; sibling 1: its embedding"):
        field.costs(vectors, scalars)
    for bad in (
        (vectors[:, :5], scalars),
        (vectors, scalars[:, :2]),
        (vectors[:0], scalars[:0]),
        (vectors[:3], scalars),
    ):
        with pytest.raises(InvalidFingerprint, match=r"expected embeddings \(k, 12\) and scalars \(k, 3\)"):
            field.costs(*bad)
    with pytest.raises(InvalidFingerprint, match="not finite"):
        field.costs(siblings(2)[0], [[3e38, 1, 1], [-3e38, 1, 1]])


def test_costfield_saved_and_loaded_says_the_same(field: CostField, saved: Path) -> None:
    loaded = CostField.load(saved, fingerprint_id=FINGERPRINT)
    assert loaded.card == field.card
    assert np.array_equal(loaded.costs(*siblings()).cost, field.costs(*siblings()).cost)
    assert sorted(contents(saved)) == [CARD, field.card.weights]
    field.save(saved)
    assert sorted(contents(saved)) == [CARD, field.card.weights]


def test_costfield_for_another_model_is_refused(saved: Path) -> None:
    with pytest.raises(FingerprintMismatch, match="reads fingerprints 'fp1-test', but 'fp2' is what there is"):
        CostField.load(saved, fingerprint_id="fp2")


def test_costfield_damaged_artifacts_are_refused(saved: Path, field: CostField) -> None:
    weights, card = saved / field.card.weights, saved / CARD
    whole, written = weights.read_bytes(), json.loads(card.read_text())
    for damage in (whole[:-40], whole[:200] + b"\x00" + whole[201:], b""):
        weights.write_bytes(damage)
        with pytest.raises(InvalidField, match="does not match the sha256 in its card: truncated or altered"):
            CostField.load(saved, fingerprint_id=FINGERPRINT)
    weights.unlink()
    with pytest.raises(InvalidField, match="is missing; restore it"):
        CostField.load(saved, fingerprint_id=FINGERPRINT)
    weights.write_bytes(whole)
    for change, says in (
        ({"schema_version": 2}, "has schema 2, this version reads 1"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"weights": "../elsewhere.safetensors"}, "names weights outside its own folder"),
        ({"config": written["config"] | {"members": 3}}, "weights do not fit their card"),
        ({"calibration": written["calibration"] | {"rank_slope": 3.0}}, "probe costs that differ"),
    ):
        card.write_text(json.dumps(written | change))
        with pytest.raises(InvalidField, match=says):
            CostField.load(saved, fingerprint_id=FINGERPRINT)
    card.write_text(card.read_text()[:100])
    with pytest.raises(InvalidField, match="no card of schema"):
        CostField.load(saved, fingerprint_id=FINGERPRINT)
    card.unlink()
    with pytest.raises(InvalidField, match="there is no Cost Field in"):
        read_card(saved)


def test_costfield_weights_are_safetensors_and_hold_no_code(saved: Path, field: CostField) -> None:
    tensors = safetensors.numpy.load((saved / field.card.weights).read_bytes())
    assert {name.split(".")[0] for name in tensors} == {"features", "members", "probe"}


@pytest.mark.parametrize("call", [1, 2])  # the disk is full at the weights, or at the card
def test_costfield_a_failed_save_leaves_the_old_field_in_use(
    saved: Path, field: CostField, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    other, calls = train(labelled(seed=7), QUICK), 0

    def full(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        other.save(saved)
    monkeypatch.undo()
    assert CostField.load(saved, fingerprint_id=FINGERPRINT).card == field.card
    other.save(saved)
    assert CostField.load(saved, fingerprint_id=FINGERPRINT).card == other.card
    assert len(contents(saved)) == 2


def test_costfield_is_not_measured_on_what_it_was_trained_on(field: CostField) -> None:
    with pytest.raises(LeakedProblems, match="was trained on 'p0000'"):
        field.evaluate(labelled(problems=10))
    near = labelled(problems=10, problem=[f"new{i // 6}" for i in range(60)], group=["p0001"] * 60)
    with pytest.raises(LeakedProblems, match="was trained on 'p0001'"):
        field.evaluate(near)
    fresh = {"problem": [f"new{i // 6}" for i in range(60)]}
    with pytest.raises(FingerprintMismatch):
        field.evaluate(labelled(problems=10, fingerprint_id="fp2", **fresh))
    with pytest.raises(InvalidExamples, match="no scalar named 'logprob_mean'"):
        field.evaluate(labelled(problems=10, scalar_names=("x", "chars", "agreement"), **fresh))


def test_costfield_card_reads_as_a_page(field: CostField) -> None:
    page = card_markdown(field.card)
    measured = field.card.evaluation
    assert f"{measured.selection.value:.3f} [{measured.selection.low:.3f}, {measured.selection.high:.3f}]" in page
    for name in measured.baselines:
        assert f"| {name} |" in page
    for text in (
        "When not to trust it",
        "said   was",
        field.card.data.sha256,
        FINGERPRINT,
        "can do without `agreement`",
    ):
        assert text in page
    assert ("It beats every baseline" in page) == field.card.recommended
    unbeaten = measured.baselines["random"].model_copy(
        update={"field_minus_this": Estimate(value=0.1, low=-0.01, high=0.2, n=5)}
    )
    humbled = field.card.model_copy(
        update={"evaluation": measured.model_copy(update={"baselines": {"x": unbeaten}}), "caveats": ("Odd.",)}
    )
    assert "must not be a default" in card_markdown(humbled)
    assert "- Odd." in card_markdown(humbled)
