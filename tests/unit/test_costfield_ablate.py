"""Ablations: paired on the same problems and seeds, honest about nothing gained, and written where they belong."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atlas.cli import app
from atlas.settings import SHIPPED_FIELD
from costfield import ablate as module
from costfield import ablation_page
from costfield.ablate import Ablations, _Run, ablate, epochs_to_the_same_loss
from costfield.bootstrap import Estimate
from costfield.config import TrainConfig
from costfield.errors import InvalidRecipe, TooFewProblems
from costfield.model import Shape
from costfield.options import OPTIONS, bytes_per_row, recipe, with_what_they_are_against
from costfield.shards import append_shard
from costfield.train import cross_validate, train
from tests.support.labelled import QUICK, labelled

FAST = QUICK.model_copy(update={"epochs": 3})
PAGE = f"# Page\n\n{ablation_page.BEGIN}\nold\n{ablation_page.END}\n\nThe end.\n"


@pytest.fixture(scope="module")
def result() -> Ablations:
    return ablate(labelled(problems=60), FAST, names=["muon", "1-bit"])


def test_ablate_measures_what_an_option_is_against_with_it(result: Ablations) -> None:
    assert list(result.options) == ["plain", "mlp", "muon", "1-bit"]
    assert [one.against for one in result.options.values()] == [None, "plain", "mlp", "plain"]
    assert result.seeds == (0, 1, 2, 3, 4)
    plain = result.options["plain"]
    assert plain.difference is None and plain.over_plain is None
    assert plain.selection.n == result.mixed
    assert plain.selection.value > result.random + 0.1


def test_ablate_differences_are_paired_means_over_seeds(result: Ablations) -> None:
    one = result.options["muon"]
    assert one.difference is not None and one.difference.n == result.mixed
    apart = one.selection.value - result.options["mlp"].selection.value
    assert one.difference.value == pytest.approx(apart, abs=1e-8)
    assert np.mean(one.by_seed) == pytest.approx(apart, abs=1e-8)
    assert one.over_plain is not None
    assert one.over_plain.value == pytest.approx(
        one.selection.value - result.options["plain"].selection.value, abs=1e-8
    )
    assert one.difference.low <= one.difference.value <= one.difference.high


def test_ablate_plain_is_the_cross_validation_that_the_card_reports(result: Ablations) -> None:
    examples = labelled(problems=60)
    card = train(examples, FAST).card.evaluation
    runs = [module._run(examples, None, FAST.model_copy(update={"seed": seed})) for seed in result.seeds]
    assert runs[0].selected.mean() == pytest.approx(card.selection.value)
    assert result.options["plain"].selection.value == pytest.approx(np.mean([run.selected.mean() for run in runs]))


def test_ablate_trains_on_stored_rows_and_measures_on_rows_as_they_came() -> None:
    examples = labelled(problems=60)
    noise = labelled(problems=60, embeddings=np.random.default_rng(0).standard_normal((360, 12)))
    assert not np.array_equal(
        cross_validate(examples, FAST, learn_from=noise).cost, cross_validate(examples, FAST).cost
    )
    same = cross_validate(examples, FAST, learn_from=labelled(problems=60))
    assert np.array_equal(same.cost, cross_validate(examples, FAST).cost)


def test_ablate_an_end_of_an_interval_that_is_nothing_reads_nothing() -> None:
    got = module._rounded(Estimate(value=1e-18, low=-4e-18, high=0.1, n=3))
    assert (str(got.value), str(got.low), got.high, got.n) == ("0.0", "0.0", 0.1, 3)


def test_ablate_counts_epochs_to_the_lowest_loss_that_both_reach() -> None:
    def run(*losses: float) -> _Run:
        return _Run(selected=np.ones(1), auroc=np.ones(1), histories=[losses], seconds=1.0, experts=None)

    assert epochs_to_the_same_loss([run(0.9, 0.5, 0.3)], [run(0.8, 0.7, 0.6, 0.5)]) == (2, 4)
    assert epochs_to_the_same_loss([run(0.4, 0.5)], [run(0.6, 0.39)]) == (1, 2)
    both = epochs_to_the_same_loss([run(0.5), run(0.9, 0.5)], [run(0.7, 0.5), run(0.5)])
    assert both == (1.5, 1.5)


def test_ablate_every_option_fits_the_shipped_kind_of_recipe() -> None:
    for name in OPTIONS:
        assert isinstance(recipe(name, TrainConfig(components=8)), TrainConfig)
        assert with_what_they_are_against([name], storage=True)[0] == "plain"
    assert recipe("moe-top2", TrainConfig()).routing.top == 2
    assert recipe("muon", TrainConfig()).shape == recipe("mlp", TrainConfig()).shape
    own = TrainConfig(shape=Shape(task_hidden=(32,)), optimizer="adamw")
    assert recipe("mlp", own).shape == Shape(task_hidden=(32,), rank_hidden=(64, 32)), "the rest of the shape stays"


def test_ablate_bytes_are_those_of_the_codes_and_one_norm() -> None:
    assert [bytes_per_row(name, 1536) for name in ("plain", "8-bit", "4-bit", "1-bit")] == [3072, 1540, 772, 196]


def test_ablate_leaves_storage_out_where_no_embedding_is_read() -> None:
    assert with_what_they_are_against(list(OPTIONS), storage=False) == ["plain", "mlp", "muon", "moe", "moe-top2"]


def test_ablate_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(InvalidRecipe, match="no option 'magic'; there are: plain, mlp, muon"):
        ablate(labelled(), FAST, names=["magic"])
    with pytest.raises(InvalidRecipe, match="4 seeds say too little"):
        ablate(labelled(), FAST, seeds=4)
    with pytest.raises(TooFewProblems, match="at least 40 are needed"):
        ablate(labelled(problems=30), FAST)
    with pytest.raises(InvalidRecipe, match="option 'plain' does not fit the recipe: members: "):
        recipe("mlp", FAST.model_copy(update={"members": 1}))


def test_ablate_page_is_replaced_between_its_marks_only(result: Ablations) -> None:
    page = ablation_page.put_into(PAGE, result)
    assert page.startswith("# Page\n\n") and page.endswith("\n\nThe end.\n")
    assert "\nold\n" not in page and page.count("\n| ") == 1 + len(result.options)
    assert ablation_page.put_into(page, result) == page
    for broken in ("# Page\n", PAGE.replace(ablation_page.END, ""), f"{ablation_page.END}\n{ablation_page.BEGIN}"):
        with pytest.raises(InvalidRecipe, match="the page has no line"):
            ablation_page.put_into(broken, result)


def test_ablate_page_says_when_nothing_is_gained_and_when_something_is(result: Ablations) -> None:
    nothing = result.options["muon"].difference
    assert nothing is not None
    still = {
        name: one if one.against is None else one.model_copy(update={"difference": level, "over_plain": level})
        for level in (nothing.__class__(value=0.0, low=-0.1, high=0.1, n=9),)
        for name, one in result.options.items()
    }
    text = ablation_page.generated(result.model_copy(update={"options": still}))
    assert "Of 3 comparisons, selection is higher for no option and lower for no option" in text
    assert "the recipe stays the default" in text
    gain = nothing.__class__(value=0.2, low=0.1, high=0.3, n=9)
    better = still | {"muon": still["muon"].model_copy(update={"difference": gain, "over_plain": gain})}
    changed = result.model_copy(update={"options": better})
    assert ablation_page.supported(changed) == ["muon"]
    assert "selection is higher for muon and lower for no option" in ablation_page.generated(changed)
    assert "above 0 for muon: the default may change" in ablation_page.generated(changed)


def test_ablate_command_writes_beside_the_card_and_into_the_page(tmp_path: Path) -> None:
    examples = labelled(problems=60)
    append_shard(tmp_path / "data", examples)
    train(examples, FAST).save(tmp_path / "field")
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    command = ["costfield", "ablate", str(tmp_path / "data"), "--field", str(tmp_path / "field"), "--json"]
    done = CliRunner().invoke(app, [*command, "--page", str(page), "--option", "plain"])
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["options"]["plain"]["selection"]["n"] == last["mixed"]
    assert page.read_text() == PAGE and not (tmp_path / "field" / "ablations.json").exists()


def test_ablate_command_keeps_all_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: OPTIONS[name] for name in ("plain", "4-bit")}
    monkeypatch.setattr("costfield.options.OPTIONS", few)
    monkeypatch.setattr("costfield.ablate.OPTIONS", few)
    monkeypatch.setattr("atlas.cli_costfield.OPTIONS", few)
    examples = labelled(problems=60)
    append_shard(tmp_path / "data", examples)
    train(examples, FAST).save(tmp_path / "field")
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    command = ["costfield", "ablate", str(tmp_path / "data"), "--field", str(tmp_path / "field"), "--json"]
    done = CliRunner().invoke(app, [*command, "--page", str(page)])
    assert done.exit_code == 0, done.output
    kept = Ablations.model_validate_json((tmp_path / "field" / "ablations.json").read_bytes())
    last = json.loads(done.stdout.splitlines()[-1])
    four = kept.options["4-bit"].difference
    assert four is not None
    assert last["options"]["4-bit"]["difference"] == asdict(four)
    assert page.read_text() == ablation_page.put_into(PAGE, kept)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--option", "magic"], "there is no option 'magic'"),
        (["--seeds", "2"], "2 seeds say too little"),
        (["--page", "{tmp}/bare.md"], "the page has no line"),
        (["{tmp}/nothing"], "holds no labelled data"),
        (["{tmp}/other"], "but 'fp1-test' is asked for"),
        ([], "there is no labelled data for"),
    ],
)
def test_ablate_command_refuses_in_one_sentence(more: list[str], says: str, tmp_path: Path) -> None:
    examples = labelled(problems=60)
    train(examples, FAST).save(tmp_path / "field")
    append_shard(tmp_path / "data", examples)
    append_shard(tmp_path / "other", labelled(problems=60, fingerprint_id="fp-other"))
    (tmp_path / "bare.md").write_text("# Bare\n")
    words = [word.format(tmp=tmp_path) for word in more]
    data = [] if not words or not words[0].startswith("--") else [str(tmp_path / "data")]
    done = CliRunner().invoke(app, ["costfield", "ablate", *data, *words, "--field", str(tmp_path / "field")])
    assert done.exit_code == 8, done.output
    assert says in done.stderr.replace("\n", " ")
    assert not (tmp_path / "field" / "ablations.json").exists()


def test_ablate_shipped_page_is_made_from_the_shipped_file() -> None:
    kept = Ablations.model_validate_json((SHIPPED_FIELD / "ablations.json").read_bytes())
    page = (Path(__file__).parents[2] / "docs" / "ablations.md").read_text(encoding="utf-8")
    assert ablation_page.put_into(page, kept) == page
    assert set(kept.options) == set(OPTIONS)
