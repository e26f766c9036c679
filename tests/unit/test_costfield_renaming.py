"""Twins of candidates with other names: an honest field chooses as well among them, one that reads names does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costfield.data import Examples
from costfield.errors import GateFailed, InvalidExamples
from costfield.renaming import FOLDER, Twins, renaming_is_harmless
from costfield.shards import append_shard, load_examples
from costfield.train import fit, train
from tests.support.labelled import QUICK, labelled

EXAMPLES = labelled(problems=160)
SOME = EXAMPLES.take(np.arange(6 * 60))


def renamed(examples: Examples, *, noise: float, signal: float = 1.0) -> Examples:
    """Other names move every coordinate a little; `signal` is how much is left of what tells the right one."""
    vectors = np.array(examples.embeddings)
    vectors += noise * np.random.default_rng(1).standard_normal(vectors.shape)
    vectors[:, 0] *= signal
    return replace(examples, embeddings=vectors.astype(np.float32))


def test_costfield_renaming_that_only_jitters_is_harmless() -> None:
    twins = Twins(written=SOME, exchanged=renamed(SOME, noise=0.5))
    gate = renaming_is_harmless(EXAMPLES, twins, lambda rows: fit(rows, QUICK, 0))
    assert gate.name == "renaming is harmless" and "mixed problems" in gate.detail and " lost, " in gate.detail


def test_costfield_that_reads_names_is_stopped() -> None:
    twins = Twins(written=SOME, exchanged=renamed(SOME, noise=0.0, signal=-1.0))
    with pytest.raises(GateFailed, match="the field reads names, not programs"):
        renaming_is_harmless(EXAMPLES, twins, lambda rows: fit(rows, QUICK, 0))


def test_costfield_is_trained_without_the_problems_that_it_is_tested_on() -> None:
    groups = [f"g{i // 12}" for i in range(len(EXAMPLES))]  # two problems a group
    examples = replace(EXAMPLES, group=np.array(groups))
    seen: list[Examples] = []

    def trained(rows: Examples):  # type: ignore[no-untyped-def]
        seen.append(rows)
        return fit(rows, QUICK, 0)

    part = examples.take(np.arange(6 * 31))  # the last one's near-duplicate is not among the twins
    renaming_is_harmless(examples, Twins(written=part, exchanged=part), trained)
    assert set(seen[0].problem.tolist()) == {f"p{i:04d}" for i in range(32, 160)}


def test_costfield_training_runs_the_gate_where_there_are_twins(tmp_path: Path) -> None:
    append_shard(tmp_path, EXAMPLES)
    assert Twins.load(tmp_path) is None
    without = train(EXAMPLES, QUICK)
    assert any("names of variables was not tested" in line for line in without.card.caveats)
    made = Twins(written=SOME, exchanged=renamed(SOME, noise=0.3))
    for part in (np.arange(6 * 20), np.arange(6 * 20, 6 * 60)):
        Twins(written=made.written.take(part), exchanged=made.exchanged.take(part)).save(tmp_path)
    twins = Twins.load(tmp_path)
    assert twins is not None and twins.written.problem.tolist() == SOME.problem.tolist()
    assert twins.exchanged.embeddings == pytest.approx(made.exchanged.embeddings, abs=0.01)  # float16
    with pytest.raises(InvalidExamples, match="is an evaluation pool"):
        load_examples(tmp_path / FOLDER, training=True)
    field = train(EXAMPLES, QUICK, twins=twins)
    assert [gate.name for gate in field.card.gates][-1] == "renaming is harmless"
    assert not any("names of variables" in line for line in field.card.caveats)
    bad = Twins(written=SOME, exchanged=renamed(SOME, noise=0.0, signal=-1.0))
    with pytest.raises(GateFailed, match="reads names"):
        train(EXAMPLES, QUICK, twins=bad)


def test_costfield_twins_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InvalidExamples, match="do not match the ones that they were made from"):
        Twins(written=SOME, exchanged=SOME.take(np.arange(6)))
    other = replace(SOME, fingerprint_id="fp-other")
    with pytest.raises(InvalidExamples, match="make them again"):
        Twins(written=SOME, exchanged=other)
    with pytest.raises(InvalidExamples, match="'fp-other', the data has 'fp1-test'"):
        renaming_is_harmless(EXAMPLES, Twins(written=other, exchanged=other), lambda rows: fit(rows, QUICK, 0))
