"""What docs/your-model.md shows can be read by the code, and its numbers and sentences are the code's."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from atlas.evals.datasets.tasks import Line
from atlas.fingerprint import fingerprint_id
from atlas.settings import LLMSettings
from costfield.config import TrainConfig
from costfield.data import Examples
from costfield.errors import TooFewProblems
from costfield.train import MIN_MIXED, MIN_PROBLEMS, train

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "your-model.md").read_text(encoding="utf-8")
FLAT = re.sub(r"\s+", " ", TEXT)


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_task_and_the_settings_can_be_used() -> None:
    task = Line.model_validate_json(block("json"))
    assert task.hidden and task.reference is not None
    assert LLMSettings.model_validate(tomllib.loads(block("toml"))["llm"]).model == "my-model-2026-11"


@pytest.mark.parametrize("name", ["one-liners", "tasks"])
def test_the_tasks_that_one_starts_from_are_whole_and_different(name: str) -> None:
    rows = (ROOT / "examples" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    tasks = [Line.model_validate(json.loads(row)) for row in rows]
    assert all(task.reference and task.checks and task.hidden for task in tasks)
    assert len({task.id for task in tasks}) == len(tasks) >= MIN_PROBLEMS
    assert name == "tasks" or f"the {len(tasks)} short tasks of `examples/one-liners.jsonl`" in FLAT


def test_the_numbers_and_the_names_are_those_of_the_code() -> None:
    assert f"At least {MIN_PROBLEMS} problems, {MIN_MIXED} of them mixed, are needed" in FLAT
    for source in ("states", "embeddings", "none"):
        assert f"`{fingerprint_id(model='m', source=source).rsplit('-', 1)[0]}-…`" in TEXT


def test_too_few_problems_are_refused_as_it_is_shown() -> None:
    problems = np.repeat([f"p{i}" for i in range(6)], 2)
    few = Examples.of(
        fingerprint_id="fp", embeddings=np.eye(12), scalars=np.zeros((12, 0)), scalar_names=(),
        passed=np.tile([True, False], 6), problem=problems.tolist(),
    )
    with pytest.raises(TooFewProblems) as refused:
        train(few, TrainConfig())
    assert f"error: {refused.value}\n" in TEXT
