"""Comparing two runs, and two rankers of one: on pools where a hand can work out what must come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.errors import ConfigError
from atlas.evals.compare import compare
from atlas.evals.comparison import Side, compared
from atlas.evals.flips import Measured
from atlas.evals.results import summary
from atlas.evals.rows import Rows
from tests.support.evals import config, rows_of

Pool = Mapping[str, Sequence[tuple[float, float, bool]]]
RIGHT_FIRST = [(0.1, 0.9, True), (0.2, 0.4, False)]
WRONG_FIRST = [(0.1, 0.9, False), (0.2, 0.4, True)]
TIED = [(0.1, 0.5, False), (0.1, 0.5, True)]


def side(pool: Pool, *, run: str = "a", ranker: str = "own", samples: int = 2) -> Measured:
    rows = rows_of(pool, samples=samples)
    return Measured(side=Side(run=run, ranker=ranker, model="fake", cost_field=""), rows=rows)


def test_a_loss_on_eight_problems_of_twelve_is_a_regression() -> None:
    names = [f"p{i:02}" for i in range(12)]
    a = side({name: RIGHT_FIRST for name in names})
    b = side({name: WRONG_FIRST if i < 8 else RIGHT_FIRST for i, name in enumerate(names)}, run="b")
    found = compare(a, b)
    one = found.metrics["pass_at_1"]
    assert (one.a.value, one.b.value, one.gained, one.lost, one.test) == (1.0, 4 / 12, 0, 8, "mcnemar")
    assert one.difference.value == pytest.approx(-8 / 12)
    assert one.difference.low < -8 / 12 < one.difference.high < 0
    assert one.p == 2 / 2**8
    # pass@1, selection, AUROC within and runs each lose on the same eight; what candidates alone decide is equal.
    assert list(found.metrics) == [
        "pass_at_1", "selection", "within_auroc", "first_pass_runs", "sampled_pass_at_1", "oracle_pass_at_1",
    ]
    assert found.metrics["sampled_pass_at_1"].p == 1.0
    assert one.p_holm == pytest.approx(6 * 2 / 2**8)
    assert found.metrics["first_pass_runs"].difference.value == pytest.approx(8 / 12), "more runs: worse"
    assert found.metrics["first_pass_runs"].worse and found.regression and not found.ok
    assert [flip.problem for flip in found.flips] == names[:8]
    assert (found.flips[0].a.outcome, found.flips[0].b.outcome) == ("PASS", "FAIL")
    worse = [name for name, metric in found.metrics.items() if metric.worse]
    assert worse == ["pass_at_1", "selection", "within_auroc", "first_pass_runs"]
    assert compared(found).endswith(f"B is shown to be worse in {', '.join(worse)}")

    back = compare(b, a)
    assert back.ok and back.metrics["pass_at_1"].gained == 8, "better is no regression"
    assert "B gains 8: p00" in compared(back) and "worse" not in compared(back)


def test_a_few_problems_show_nothing_and_say_how_many_would() -> None:
    a = side({"p": RIGHT_FIRST, "q": RIGHT_FIRST, "r": RIGHT_FIRST, "s": RIGHT_FIRST})
    b = side({"p": WRONG_FIRST, "q": RIGHT_FIRST, "r": RIGHT_FIRST, "s": RIGHT_FIRST}, run="b")
    found = compare(a, b)
    one = found.metrics["pass_at_1"]
    # Differences -1, 0, 0, 0: sd 1/2, so (1.96 + 0.84) / 4 is the least that shows, and 2.8² · 4 problems would do.
    assert one.detectable == pytest.approx(2.801586 / 4, rel=1e-6)
    assert one.problems_needed == 32
    assert found.ok and not found.regression
    assert compare(a, b, fail_under=0.75).ok, "not below"
    below = compare(a, b, fail_under=0.76)
    assert not below.ok and not below.regression
    assert "B's pass@1 is below 0.76" in compared(below)


def test_two_rankers_of_one_run_share_their_candidates() -> None:
    pool = {"p": RIGHT_FIRST, "q": WRONG_FIRST, "r": TIED, "s": [(0.1, 0.5, True)]}
    found = compare(side(pool, ranker="random"), side(pool))
    assert list(found.metrics) == ["pass_at_1", "selection", "within_auroc", "first_pass_runs"]
    one = found.metrics["selection"]
    assert (one.a.value, one.b.value, one.a.n) == (0.5, 0.5, 3)
    assert (one.test, one.p) == ("sign-flip", 1.0)
    assert [(flip.problem, flip.change) for flip in found.flips] == [("q", -0.5), ("p", 0.5)]
    assert found.flips[0].a.outcome == "PASS", "of a tie, the candidate that shows the flip"


def test_only_problems_judged_by_the_same_checks_are_paired() -> None:
    a, b = side({"p": RIGHT_FIRST, "q": RIGHT_FIRST, "x": TIED}), side({"p": TIED, "q": TIED, "y": TIED}, run="b")
    other = replace(b.rows.problems[1], checks="1" * 64)
    rows = Rows(
        problems=(b.rows.problems[0], other, b.rows.problems[2]), candidates=b.rows.candidates, scores=b.rows.scores
    )
    found = compare(a, replace(b, rows=rows))
    assert found.problems == 1
    assert found.left_out == {
        "q": "the two were judged by other checks", "x": "only A measured it", "y": "only B measured it",
    }
    with pytest.raises(ConfigError, match="no problem in common"):
        compare(side({"p": TIED}), side({"q": TIED}, run="b"))


def test_a_problem_without_a_program_is_lost_to_one_with() -> None:
    found = compare(side({"p": RIGHT_FIRST}), side({"p": []}, run="b"))
    (flip,) = found.flips
    assert (flip.b.source, flip.b.message) == ("", "no completion held a program")
    assert list(found.metrics) == ["pass_at_1", "sampled_pass_at_1", "oracle_pass_at_1"]


def test_a_run_and_a_ranker_of_it_are_named_in_one_word(tmp_path: Path) -> None:
    folder = tmp_path / "run: odd name"
    folder.mkdir()
    rows = rows_of({"p": RIGHT_FIRST})
    rows.write(folder)
    found = summary(rows, config(), {"model": "fake-1b"}, excluded={}, infrastructure={})
    (folder / "results.json").write_text(found.model_dump_json())
    assert Measured.read(str(folder)).side.ranker == "own"
    assert Measured.read(f"{folder}:oracle").side == Side(
        run=str(folder), ranker="oracle", model="fake-1b", cost_field=""
    )
    with pytest.raises(ConfigError, match="no ranker 'nobody'"):
        Measured.read(f"{folder}:nobody")
    with pytest.raises(ConfigError, match=r"holds no results\.json"):
        Measured.read(str(tmp_path / "gone"))
