"""Labelled rows: what is refused, and that no split lets a problem stand on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costfield.data import (
    Examples,
    concat,
    kfold,
    mixed_problems,
    require_disjoint,
    require_trainable,
    split,
    unavailable,
)
from costfield.errors import FingerprintMismatch, InvalidExamples, LeakedProblems, TooFewProblems
from tests.support.labelled import labelled


def with_one_bad_value(column: str, value: Any) -> dict[str, Any]:
    good = np.array(getattr(labelled(problems=2), column))
    good[(3,) + (0,) * (good.ndim - 1)] = value
    return {column: good}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            with_one_bad_value("embeddings", np.nan),
            r"1 rows have a NaN or infinite embedding, the first is row 3 \(.*p0000",
        ),
        (with_one_bad_value("embeddings", np.inf), "NaN or infinite embedding"),
        (with_one_bad_value("scalars", np.inf), "'logprob_mean' is infinite"),
        ({"passed": [1.0] * 11 + [float("nan")]}, "1 labels are neither True nor False"),
        ({"passed": [True] * 11 + [None]}, "12 labels are neither True nor False"),
        ({"passed": ["False"] * 12}, "12 labels are neither True nor False"),
        ({"passed": [2] * 3 + [0] * 9}, "3 labels are neither True nor False"),
        ({"weight": np.zeros(12)}, "weights must be finite and above 0"),
        ({"passed": np.ones(11, bool)}, "rows, passed has 11"),
        ({"scalar_names": ("a", "b")}, "3 scalar columns but 2 names"),
        ({"scalar_names": ("a", "b", "a")}, "given twice"),
        ({"fingerprint_id": ""}, "fingerprint_id is empty"),
        ({"group": ["g"] * 3 + ["h"] * 9}, "'p0000' is in more than one group"),
        ({"embeddings": np.zeros((12, 0)), "scalars": np.zeros((12, 0)), "scalar_names": ()}, "nothing to learn from"),
        ({"embeddings": np.zeros(12)}, r"embeddings must be \(n, d\)"),
    ],
)
def test_costfield_bad_rows_are_refused_in_words(columns: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidExamples, match=says):
        labelled(problems=2, **columns)


def test_costfield_columns_are_read_only_and_the_callers_array_is_not() -> None:
    mine = np.zeros((12, 2), np.float32)
    examples = labelled(problems=2, embeddings=mine)
    with pytest.raises(ValueError, match="read-only"):
        examples.embeddings[0, 0] = 1
    mine[0, 0] = 1


@given(seed=st.integers(0, 10**6), groups=st.integers(12, 40), share=st.floats(0.15, 0.5))
@settings(max_examples=25, deadline=None)
def test_costfield_splits_keep_groups_whole_and_lose_nothing(seed: int, groups: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    group_of_problem = rng.integers(0, groups, 60)
    examples = labelled(problems=60, siblings=3, seed=seed, group=[f"g{g}" for g in np.repeat(group_of_problem, 3)])
    parts = split(examples, (1 - share, share), seed)
    assert sum(len(part) for part in parts) == len(examples)
    assert not set(parts[0].group.tolist()) & set(parts[1].group.tolist())
    biggest = np.bincount(group_of_problem).max()
    assert abs(len(np.unique(parts[1].problem)) - 60 * share) <= biggest + 1

    held_out = [rows for _, rows in kfold(examples, 4, seed)]
    assert sorted(np.concatenate(held_out).tolist()) == list(range(len(examples)))
    for training, rows in kfold(examples, 4, seed):
        require_disjoint(examples.take(training), examples.take(rows))


def test_costfield_splits_are_seeded_and_share_out_mixed_problems() -> None:
    examples = labelled(problems=200)
    first, again, other = (split(examples, (0.5, 0.5), seed)[0] for seed in (1, 1, 2))
    assert first.problem.tolist() == again.problem.tolist() != other.problem.tolist()
    mixed = [len(mixed_problems(examples.take(rows))) for _, rows in kfold(examples, 5, 0)]
    assert max(mixed) - min(mixed) <= 1


def test_costfield_a_problem_or_its_duplicate_on_both_sides_is_refused() -> None:
    examples = labelled(problems=4, group=["g0"] * 6 + ["g1"] * 6 + ["g0"] * 6 + ["g2"] * 6)
    rows = np.arange(24)
    with pytest.raises(LeakedProblems, match=r"1 problems are on both sides of a split, e.g. p0000"):
        require_disjoint(examples.take(rows[:3]), examples.take(rows[3:6]))
    with pytest.raises(LeakedProblems, match=r"1 groups .* g0"):
        require_disjoint(examples.take(rows[:6]), examples.take(rows[12:18]))
    require_disjoint(examples.take(rows[:6]), examples.take(rows[6:12]))


def test_costfield_too_few_groups_for_a_split_are_refused() -> None:
    with pytest.raises(TooFewProblems, match="1 groups of problems are too few"):
        split(labelled(problems=3, group=["g"] * 18), (0.5, 0.5), 0)
    with pytest.raises(ValueError, match="sum to 1"):
        split(labelled(problems=3), (0.5, 0.2), 0)
    with pytest.raises(ValueError, match="at least 2 folds"):
        next(kfold(labelled(problems=3), 1, 0))


def test_costfield_untrainable_data_says_what_is_missing() -> None:
    examples = labelled(problems=10)
    require_trainable(examples, problems=10, mixed=1)
    with pytest.raises(InvalidExamples, match="all 60 candidates passed; both right and wrong"):
        require_trainable(labelled(problems=10, passed=np.ones(60)), problems=1, mixed=1)
    with pytest.raises(InvalidExamples, match="all 60 candidates failed"):
        require_trainable(labelled(problems=10, passed=np.zeros(60)), problems=1, mixed=1)
    with pytest.raises(TooFewProblems, match="10 problems are too few: at least 40 are needed, 30 more"):
        require_trainable(examples, problems=40, mixed=1)
    unmixed = labelled(problems=10, passed=np.repeat(np.arange(10) % 2, 6))
    with pytest.raises(TooFewProblems, match=r"0 of 10 problems have both .* at least 5 are needed"):
        require_trainable(unmixed, problems=10, mixed=5)


def test_costfield_parts_of_one_fingerprint_join_and_others_do_not() -> None:
    a, b = labelled(problems=2), labelled(problems=2, seed=1, problem=["q"] * 12)
    both = concat([a, b])
    assert len(both) == 24
    assert both.problem.tolist() == a.problem.tolist() + b.problem.tolist()
    with pytest.raises(FingerprintMismatch, match="cannot be mixed: 'fp1-test' and 'fp2'"):
        concat([a, labelled(problems=2, fingerprint_id="fp2")])
    with pytest.raises(InvalidExamples, match="differ in their columns"):
        concat([a, labelled(problems=2, dims=3)])
    with pytest.raises(InvalidExamples, match="fault is recorded in some parts"):
        concat([a, labelled(problems=2, fault=None)])


def test_costfield_digest_changes_with_any_label_and_not_with_a_copy() -> None:
    a = labelled(problems=2)
    flipped = np.array(a.passed)
    flipped[0] = ~flipped[0]
    assert a.digest() == a.take(np.arange(12)).digest()
    assert a.digest() != labelled(problems=2, passed=flipped).digest()
    assert a.digest() != a.take(np.arange(12)[::-1]).digest()


def test_costfield_scalars_by_name() -> None:
    scalars = np.array(labelled(problems=2).scalars)
    scalars[:, 1] = np.nan
    examples: Examples = labelled(problems=2, scalars=scalars)
    assert unavailable(examples) == ("chars",)
    swapped = examples.with_scalars(("agreement", "logprob_mean"))
    assert np.array_equal(swapped.column("logprob_mean"), examples.scalars[:, 0])
    assert examples.with_scalars(()).scalars.shape == (12, 0)
    with pytest.raises(InvalidExamples, match="no scalar named 'nope'; the data has: logprob_mean, chars, agreement"):
        examples.column("nope")
