"""What settings open, and what they refuse."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from atlas import wiring
from atlas.errors import ConfigError
from atlas.fingerprint import ModelFingerprinter
from atlas.llm.client import OpenAIClient
from atlas.policy import ExpectedCost, FixedRounds
from atlas.protocols import Ranker
from atlas.rank import ColumnRanker, CostFieldRanker, baseline
from atlas.settings import SHIPPED_FIELD, Settings
from costfield.field import read_card
from costfield.siblings import Siblings
from costfield.train import train
from tests.support.labelled import QUICK, labelled
from tests.support.model_wire import KEY, URL, Wire, sampling

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def server(monkeypatch: pytest.MonkeyPatch, **habits: Any) -> Settings:
    """Settings for a model server that is a function."""
    monkeypatch.setattr(OpenAIClient, "open", partial(OpenAIClient.open, transport=Wire(**habits).transport))
    return Settings(llm={"base_url": URL, "api_key": KEY}, ranker="first")  # type: ignore[arg-type]


@pytest.mark.parametrize("states", [False, True])
async def test_any_model_server_will_do_and_its_states_are_taken_where_it_has_them(
    states: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wiring.open_llm(server(monkeypatch, states=states)) as llm:
        (made,), _ = await llm.sample([], sampling(1))
        assert (made.states is not None) == llm.capabilities.states == states
        assert ModelFingerprinter.best(llm).source == ("states" if states else "embeddings")


async def test_a_field_that_is_not_there_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with wiring.open_llm(server(monkeypatch)) as llm:
        with pytest.raises(ConfigError, match=r"no Cost Field in .*atlas label.*set ranker to a baseline"):
            wiring.open_field(tmp_path, ModelFingerprinter.best(llm))
        with pytest.raises(ConfigError, match=r"needs the states of .* shipped field is for the default model"):
            wiring.open_field(SHIPPED_FIELD, ModelFingerprinter.best(llm))
        ranker = wiring.open_ranker(Settings(ranker="shortest"), ModelFingerprinter.best(llm))
        assert isinstance(ranker, ColumnRanker) and ranker.name == "shortest"


async def test_a_field_that_needs_what_the_server_lacks_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with wiring.open_llm(server(monkeypatch, logprobs="omit", embeddings="missing")) as llm:
        made = ModelFingerprinter.best(llm)
        assert made.source == "none" and not llm.capabilities.logprobs
        train(labelled(problems=60, dims=0, signal=6.0, fingerprint_id=made.id), QUICK).save(tmp_path)
        with pytest.raises(ConfigError, match=r"needs log-probabilities \(logprob_mean\), which this model's server"):
            wiring.open_field(tmp_path, made)
        without = labelled(problems=60, dims=0, fingerprint_id=made.id).with_scalars(("chars", "agreement"))
        train(without, QUICK).save(tmp_path)
        assert wiring.open_field(tmp_path, made).card.needed == ("chars",)


async def test_left_to_itself_another_model_is_ranked_by_a_baseline_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with wiring.open_llm(server(monkeypatch)) as llm:
        made = ModelFingerprinter.best(llm)
        name, why = wiring.choose_ranker(Settings(), made)
        assert name == "log-probability" and "another model" in why
        assert wiring.open_ranker(Settings(), made).name == "log-probability"
        assert wiring.choose_ranker(Settings(cost_field=tmp_path), made)[0] == "cost-field"
        with pytest.raises(ConfigError):
            wiring.open_ranker(Settings(cost_field=tmp_path), made)
        shipped = read_card(SHIPPED_FIELD).fingerprint_id
        monkeypatch.setattr(ModelFingerprinter, "id", property(lambda _: shipped))
        assert wiring.choose_ranker(Settings(), made) == ("cost-field", "the shipped Cost Field is for this model")


def test_the_sandbox_is_docker_where_an_engine_answers_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "docker_status", lambda _: "")
    assert wiring.choose_sandbox(Settings()) == ("docker", "a Docker engine answers")
    monkeypatch.setattr(wiring, "docker_status", lambda _: "connection refused")
    assert wiring.choose_sandbox(Settings()) == ("wasm", "no Docker engine answers (connection refused)")
    chosen = Settings(sandbox={"kind": "docker"})  # type: ignore[arg-type]
    assert wiring.choose_sandbox(chosen)[0] == "docker"  # chosen is chosen: no weaker one in its place


def ranker_with(siblings: Siblings | None) -> CostFieldRanker:
    """One whose field is nothing but its card's word on siblings."""
    field = SimpleNamespace(card=SimpleNamespace(siblings=siblings))
    return CostFieldRanker(fingerprinter=cast(Any, None), field=cast(Any, field))


def test_the_policy_follows_the_ranker_and_the_reason_is_said() -> None:
    knows, lacks = ranker_with(Siblings(task=2.0, own=0.5)), ranker_with(None)
    policy, why = wiring.choose_policy(Settings(), knows)
    assert policy.name == "expected-cost" and "siblings vary" in why
    assert isinstance(policy, ExpectedCost) and (policy.run_price, policy.group) == (0.05, 2)
    policy, why = wiring.choose_policy(Settings(), lacks)
    assert policy.name == "rounds" and "train it again" in why
    policy, why = wiring.choose_policy(Settings(), baseline("first"))
    assert policy.name == "rounds" and "first, which says no P(pass)" in why
    chosen = Settings(policy={"kind": "rounds", "least_p_pass": 0.3})  # type: ignore[arg-type]
    assert wiring.choose_policy(chosen, knows) == (FixedRounds(least_p_pass=0.3), "chosen by the setting policy.kind")


@pytest.mark.parametrize("ranker", [ranker_with(None), baseline("first")])
def test_a_policy_that_cannot_be_had_is_refused(ranker: Ranker) -> None:
    with pytest.raises(ConfigError, match=r"policy\.kind cannot be expected-cost"):
        wiring.choose_policy(Settings(policy={"kind": "expected-cost"}), ranker)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"least_p_pass cannot be kept.*log-probability"):
        bar = Settings(policy={"least_p_pass": 0.5})  # type: ignore[arg-type]
        wiring.choose_policy(bar, baseline("log-probability"))
