"""`atlas label` and `atlas costfield` as commands: what they print and refuse, and that nothing is overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from atlas import console, settings
from atlas.cli import app
from atlas.errors import ConfigError
from atlas.fingerprint import ModelFingerprinter
from atlas.wiring import open_field
from costfield import train as training
from costfield.card import Gate
from costfield.config import TrainConfig
from costfield.data import Examples
from costfield.ensemble import Ensemble, Estimates
from costfield.field import CostField
from costfield.renaming import Twins
from costfield.shards import MANIFEST, append_shard, load_examples
from costfield.train import train
from tests.support.evals import ScriptedLLM
from tests.support.labelled import QUICK, labelled


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(settings.os.environ):
        if name.upper().startswith(("ATLAS_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "FILES", ())
    monkeypatch.setattr(console.err, "width", 500)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def atlas(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- a field --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> CostField:
    return train(labelled(problems=80), QUICK)


@pytest.fixture
def field(trained: CostField, tmp_path: Path) -> Path:
    trained.save(tmp_path / "field")
    return tmp_path / "field"


def pool(folder: Path, problems: int = 60, **changes: Any) -> Path:
    names = [f"pool{i:04d}" for i in np.repeat(np.arange(problems), 6)]
    made = labelled(**{"problems": problems, "seed": 5, "problem": names, **changes})
    append_shard(folder, made, purpose="evaluation")
    return folder


def test_costfield_evaluate_prints_one_object_by_pool_as_its_last_line(field: Path, tmp_path: Path) -> None:
    one, two = pool(tmp_path / "first-pool"), pool(tmp_path / "second-pool", seed=6)
    done = atlas("costfield", "evaluate", field, "--pool", one, "--pool", two, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == ["first-pool", "second-pool"]
    for told in found.values():
        assert told["problems"] == 60 and told["selection_low"] <= told["selection"] <= told["selection_high"]
        assert {"mixed", "paired_low", "gap_closed", "ece", "within_auroc", "abstention_error"} <= set(told)
        assert {"random", "first", "shortest", "longest", "log-probability", "agreement", "oracle"} == set(
            told["baselines"]
        )
    assert "first-pool: " in done.stderr and "  oracle " in done.stderr


def test_costfield_evaluate_takes_the_pools_kept_for_the_field(
    field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas.cli_costfield.POOLS", tmp_path / "pools")
    none = atlas("costfield", "evaluate", field)
    assert none.exit_code == 8 and "there are no pools for" in none.stderr and "--pool" in none.stderr
    for name in ("humaneval", "mbpp-test"):
        pool(tmp_path / "pools" / field.name / name)
    found = json.loads(atlas("costfield", "evaluate", field, "--json").stdout)
    assert list(found) == ["humaneval", "mbpp-test"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "trained on": ({"problem": None}, "the field was trained on 'p0000': measure it on problems that it has not seen"),
    "another model": ({"fingerprint_id": "fp-other"}, "the field reads fingerprints 'fp1-test', but 'fp-other'"),
    "one class": ({"passed": np.ones(360)}, "all 360 candidates passed"),
    "too few": ({"problems": 7}, "7 problems are too few: at least 20 are needed, 13 more"),
    "not one mixed": ({"passed": np.repeat(np.arange(60) % 2, 6)}, "at least 10 are needed"),
    "without a feature": ({"scalars": np.full((360, 3), np.nan)}, "this field needs logprob_mean, chars as a finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_costfield_evaluate_refuses(name: str, field: Path, tmp_path: Path) -> None:
    changes, says = REFUSED[name]
    if "problem" in changes:
        append_shard(tmp_path / "bad", labelled(problems=60), purpose="evaluation")
    else:
        pool(tmp_path / "bad", **changes)
    before = contents(field)
    done = atlas("costfield", "evaluate", field, "--pool", tmp_path / "bad", "--json")
    assert done.exit_code == 8 and done.stdout == ""
    assert f"{tmp_path / 'bad'}: " in done.stderr and says in done.stderr
    assert contents(field) == before


def test_costfield_evaluate_refuses_two_pools_of_one_name(field: Path, tmp_path: Path) -> None:
    one, two = pool(tmp_path / "a" / "same"), pool(tmp_path / "b" / "same")
    done = atlas("costfield", "evaluate", field, "--pool", one, "--pool", two)
    assert done.exit_code == 8 and "two pools have one name" in done.stderr


# ---- bad input to training ------------------------------------------------------------------------------------------


def truncated(folder: Path) -> None:
    append_shard(folder, labelled(problems=60))
    shard = folder / "shard-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-200])


def two_kinds(folder: Path) -> None:
    """A shard of another model, carried into the folder by hand, with a manifest that vouches for both."""
    append_shard(folder, labelled(problems=60))
    other = folder.with_name("other")
    more = labelled(problems=60, fingerprint_id="fp-other", problem=[f"q{i}" for i in np.repeat(np.arange(60), 6)])
    append_shard(other, more)
    (folder / "shard-00001.parquet").write_bytes((other / "shard-00000.parquet").read_bytes())
    own, theirs = (json.loads((one / MANIFEST).read_text()) for one in (folder, other))
    own["shards"].append(theirs["shards"][0] | {"file": "shard-00001.parquet"})
    (folder / MANIFEST).write_text(json.dumps(own))


def only(**changes: Any) -> Any:
    return lambda folder: append_shard(folder, labelled(**{"problems": 60, **changes}))


def without_embeddings(folder: Path) -> None:
    """NaN where a finite embedding must be cannot be written by us, so it is forged."""
    append_shard(folder, labelled(problems=60))
    made = load_examples(folder)
    object.__setattr__(made, "embeddings", np.full_like(made.embeddings, np.nan))
    (folder / MANIFEST).unlink()
    append_shard(folder, made)


BAD: dict[str, tuple[Any, str]] = {
    "all right": (only(passed=np.ones(360)), "all 360 candidates passed; both right and wrong programs are needed"),
    "all wrong": (only(passed=np.zeros(360)), "all 360 candidates failed; both right and wrong programs are needed"),
    "too few problems": (only(problems=31), "31 problems are too few: at least 40 are needed, 9 more"),
    "too few mixed": (only(passed=np.repeat(np.arange(60) % 2, 6)), "0 of 60 problems have both"),
    "not a number": (without_embeddings, "360 rows have a NaN or infinite embedding, the first is row 0"),
    "two kinds of fingerprint": (two_kinds, "'fp-other', its manifest says 'fp1-test': two kinds"),
    "a truncated shard": (truncated, "it is truncated"),
    "an evaluation pool": (pool, "is an evaluation pool: its problems are kept for measuring"),
    "nothing": (lambda folder: folder.mkdir(), "holds no labelled data"),
}


@pytest.mark.parametrize("name", BAD)
def test_costfield_train_refuses_and_overwrites_nothing(name: str, field: Path, tmp_path: Path) -> None:
    make, says = BAD[name]
    make(tmp_path / "data")
    before = contents(tmp_path)
    done = atlas("costfield", "train", tmp_path / "data", "--out", field)
    assert done.exit_code == 8 and says in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and contents(tmp_path) == before


def both_sides(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """A split by candidate: each third row is held out, whatever problem it answers."""

    def by_row(rows: Examples, folds: int, seed: int) -> Iterator[tuple[Any, Any]]:
        turn = np.arange(len(rows)) % folds
        yield from ((np.flatnonzero(turn != fold), np.flatnonzero(turn == fold)) for fold in range(folds))

    monkeypatch.setattr(training, "kfold", by_row)


def leaking_difficulty(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """A difficulty head that sees a little of the candidate."""
    honest = training.cross_validate

    def leaky(rows: Examples, config: TrainConfig) -> Estimates:
        says = honest(rows, config)
        return replace(says, task_logit=says.task_logit + 1e-9 * rows.embeddings[:, 0])

    monkeypatch.setattr(training, "cross_validate", leaky)


def leaking_labels(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """Labels that reach what is costed. Identical siblings with other labels would be noticed before."""
    honest = Ensemble.estimate
    monkeypatch.setattr(training.gates, "identical_are_tied", lambda *_: Gate(name="left out", detail=""))
    monkeypatch.setattr(
        Ensemble, "estimate", lambda self, rows: replace(says := honest(self, rows), cost=says.cost - 9 * rows.passed)
    )


def names_that_matter(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """Candidates whose fingerprints say the opposite once their variables are renamed."""
    some = load_examples(data).take(np.arange(6 * 50))
    vectors = np.array(some.embeddings)
    vectors[:, 0] *= -1
    Twins(written=some, exchanged=replace(some, embeddings=vectors)).save(data)


def dead(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    one_per_problem = np.repeat(labelled(problems=120, siblings=1).embeddings, 6, axis=0)
    shutil.rmtree(data)
    append_shard(data, labelled(embeddings=one_per_problem, scalars=np.zeros((720, 1)), scalar_names=("chars",)))


BROKEN = {
    both_sides: "problems are on both sides of a split",
    leaking_difficulty: "the difficulty head tells siblings apart",
    leaking_labels: "a label leaks into the features or across the split",
    names_that_matter: "the field reads names, not programs",
    dead: "it is dead",
}


@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__)
def test_costfield_train_saves_nothing_that_fails_a_gate(
    spoil: Callable[[pytest.MonkeyPatch, Path], None], field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_shard(tmp_path / "data", labelled())
    (tmp_path / "quick.json").write_text(QUICK.model_dump_json())
    spoil(monkeypatch, tmp_path / "data")
    before = contents(tmp_path)
    done = atlas("costfield", "train", tmp_path / "data", "--out", field, "--recipe", tmp_path / "quick.json")
    assert done.exit_code == 8 and BROKEN[spoil] in done.stderr, done.stderr
    assert done.stdout == "" and contents(tmp_path) == before


def test_costfield_a_recipe_that_is_not_there_or_no_recipe_is_a_wrong_argument(tmp_path: Path) -> None:
    append_shard(tmp_path / "data", labelled(problems=2))
    (tmp_path / "none.json").write_text('{"members": 1}')
    for name in ("none.json", "gone.json"):
        recipe = tmp_path / name
        done = atlas("costfield", "train", tmp_path / "data", "--out", tmp_path / "field", "--recipe", recipe)
        assert done.exit_code == 2 and done.stdout == "" and not (tmp_path / "field").exists()


def test_costfield_artifact_for_another_model_is_refused_at_start(field: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'fp1-test', but 'fp\d-states-\w+' is what there is; use a field"):
        open_field(field, ModelFingerprinter.best(ScriptedLLM()))
