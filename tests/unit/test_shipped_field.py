"""The Cost Field that ships: sound, made for the default model, from the data that ships beside it."""

from __future__ import annotations

from pathlib import Path

from atlas import models
from atlas.fingerprint import fingerprint_id
from atlas.settings import SHIPPED_FIELD
from costfield.field import CostField, read_card
from costfield.report import card_markdown
from costfield.shards import load_examples
from costfield.train import select_columns

ROOT = Path(__file__).parents[2]
LABELLED = ROOT / "benchmarks" / "labelled" / "qwen2.5-coder-1.5b"


def test_it_loads_for_the_fingerprints_of_the_default_model() -> None:
    own = fingerprint_id(model=models.CATALOGUE[models.DEFAULT].sha256, source="states")
    field = CostField.load(SHIPPED_FIELD, fingerprint_id=own)
    assert field.fingerprint_id == own


def test_its_card_is_of_the_data_that_ships() -> None:
    examples, card = load_examples(LABELLED), read_card(SHIPPED_FIELD)
    assert select_columns(examples, card.config).digest() == card.data.sha256
    assert len(examples) == card.data.candidates


def test_no_problem_kept_for_measuring_is_in_its_data() -> None:
    problems = set(load_examples(LABELLED).problem)
    assert problems
    for problem in problems:
        dataset, number = problem.split("/")
        assert dataset == "leetcode" or (dataset == "mbpp" and 511 <= int(number) <= 974)


def test_the_readme_of_the_package_is_its_card() -> None:
    shown = (ROOT / "costfield" / "README.md").read_text(encoding="utf-8")
    assert shown.strip() == card_markdown(read_card(SHIPPED_FIELD)).strip()
