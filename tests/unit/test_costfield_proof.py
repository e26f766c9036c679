"""A field on pools that it was not trained on: the figures of its claim, and what cannot be measured is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costfield.abstain import Abstention
from costfield.data import Examples
from costfield.errors import FingerprintMismatch, InvalidExamples, InvalidFingerprint, LeakedProblems, TooFewProblems
from costfield.field import CostField
from costfield.proof import Proof, prove
from costfield.train import train
from tests.support.labelled import QUICK, labelled

BAR = Abstention(threshold=0.8, risk=0.1, confidence=0.95, coverage=0.4, error=0.08, problems=200)


@pytest.fixture(scope="module")
def field() -> CostField:
    trained = train(labelled(problems=200), QUICK)
    assert trained.card.abstention is not None and trained.card.abstention.problems == 200
    return CostField(ensemble=trained.ensemble, card=trained.card.model_copy(update={"abstention": BAR}))


def pool(problems: int = 150, **changes: Any) -> Examples:
    names = [f"pool{i:04d}" for i in np.repeat(np.arange(problems), 6)]
    return labelled(**{"problems": problems, "seed": 77, "problem": names, **changes})


@pytest.fixture(scope="module")
def proof(field: CostField) -> Proof:
    return prove(field, pool())


def test_costfield_proof_holds_each_figure_with_its_interval(proof: Proof, field: CostField) -> None:
    told = proof.figures()
    for name in ("selection", "paired", "gap_closed", "within_auroc", "ece", "abstention_coverage", "abstention_error"):
        assert told[f"{name}_low"] <= told[name] <= told[f"{name}_high"], name  # type: ignore[operator]
    assert told["selection_low"] < told["selection"] < told["selection_high"]  # type: ignore[operator]
    assert told["problems"] == 150 and 100 < told["mixed"] < 150 and told["candidates"] == 900  # type: ignore[operator]
    assert told["weights_sha256"] == field.card.weights_sha256
    assert prove(field, pool()).figures() == told


def test_costfield_proof_has_every_baseline_and_pairs_with_the_best(proof: Proof) -> None:
    told = proof.figures()
    rivals: Any = told["baselines"]
    assert set(rivals) == {"random", "first", "shortest", "longest", "log-probability", "agreement", "oracle"}
    usable = {name: one["selection"] for name, one in rivals.items() if name not in ("random", "oracle")}
    assert told["best_baseline"] == max(usable, key=usable.__getitem__) == "log-probability"
    assert told["paired"] == pytest.approx(told["selection"] - usable["log-probability"])  # type: ignore[operator]
    assert told["paired_low"] == rivals["log-probability"]["paired_low"]
    assert rivals["oracle"]["selection"] == 1 and rivals["oracle"]["paired"] == pytest.approx(told["selection"] - 1)  # type: ignore[operator]
    assert rivals["longest"]["within_auroc"] == pytest.approx(1 - rivals["shortest"]["within_auroc"])


def test_costfield_proof_abstains_at_the_bar_of_the_card(proof: Proof, field: CostField) -> None:
    told = proof.figures()
    assert told["abstention_threshold"] == BAR.threshold
    assert 0 < told["abstention_coverage"] < 1 and told["abstention_error"] < 0.15  # type: ignore[operator]
    without = CostField(ensemble=field.ensemble, card=field.card.model_copy(update={"abstention": None}))
    bare = prove(without, pool())
    assert bare.abstention is None and bare.figures()["abstention_error"] is None
    assert "no bar" in bare.table("mine") and "of which wrong" in proof.table("mine")


def test_costfield_proof_reads_as_a_table(proof: Proof) -> None:
    page = proof.table("mine")
    assert page.startswith(f"mine: {proof.evaluation.mixed} mixed problems of 150, 900 candidates")
    for name in proof.baselines:
        assert f"\n  {name} " in page


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"problem": None, "problems": 40}, LeakedProblems, "trained on 'p0000'"),
        ({"fingerprint_id": "fp-other"}, FingerprintMismatch, "'fp-other' is what there is"),
        ({"passed": np.zeros(900)}, InvalidExamples, "all 900 candidates failed"),
        ({"problems": 12}, TooFewProblems, "12 problems are too few: at least 20 are needed, 8 more"),
        ({"passed": np.repeat(np.arange(150) % 2, 6)}, TooFewProblems, "0 of 150 problems .* at least 10 are needed"),
        ({"scalars": np.full((900, 3), np.nan)}, InvalidFingerprint, "needs logprob_mean, chars as a finite number"),
        ({"group": ["p0003"] * 900}, LeakedProblems, "trained on 'p0003'"),
    ],
)
def test_costfield_proof_refuses(changes: dict[str, Any], error: type[Exception], says: str, field: CostField) -> None:
    given = {name: value for name, value in changes.items() if value is not None}
    made = labelled(problems=40) if "problem" in changes else pool(**given)
    with pytest.raises(error, match=says):
        prove(field, made)
