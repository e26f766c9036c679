"""What the network reads: siblings against their mean, the mean itself, and missing scalars that say so."""

from __future__ import annotations

import numpy as np
import pytest

from costfield.data import Examples
from costfield.features import FeatureMap
from tests.support.labelled import labelled


def views(
    examples: Examples, components: int | None = None, weight: float = 12.0
) -> tuple[FeatureMap, np.ndarray, np.ndarray]:
    features = FeatureMap.fit(examples, components, weight)  # 12 dimensions of weight 12: each has variance 1
    return features, *features(examples.embeddings, examples.scalars, examples.codes())


def test_costfield_rank_view_is_standardised_and_sums_to_nothing_within_tasks() -> None:
    examples = labelled(problems=200)
    features, rank, task = views(examples)
    assert (rank.shape[1], task.shape[1]) == features.widths == (15, 15)
    sums = np.stack([rank[examples.codes() == q].sum(axis=0) for q in range(200)])
    assert np.abs(sums).max() < 1e-4
    assert rank.std(axis=0) == pytest.approx(np.ones(15), abs=0.01)
    assert task.std(axis=0) == pytest.approx(np.ones(15), abs=0.01)
    assert task.mean(axis=0) == pytest.approx(np.zeros(15), abs=1e-5)


def test_costfield_what_all_siblings_share_is_invisible_to_the_rank_view() -> None:
    examples = labelled(problems=30)
    features, rank, task = views(examples)
    shift = np.random.default_rng(0).normal(0, 5, (30, 12)).astype(np.float32)[examples.codes()]
    moved, moved_task = features(examples.embeddings + shift, examples.scalars, examples.codes())
    assert moved == pytest.approx(rank, abs=1e-4)
    assert np.abs(moved_task - task).max() > 1


@pytest.mark.parametrize("siblings", [1, 3, 7])
def test_costfield_equal_siblings_differ_by_exactly_nothing(siblings: int) -> None:
    features, _, _ = views(labelled(problems=30))
    one = labelled(problems=1, siblings=1, seed=9)
    rank, task = features(
        np.repeat(one.embeddings, siblings, axis=0),
        np.repeat(one.scalars, siblings, axis=0),
        np.zeros(siblings, np.int64),
    )
    assert (rank == 0).all()
    assert task.shape == (1, 15)


def test_costfield_order_of_rows_and_of_tasks_does_not_matter() -> None:
    examples = labelled(problems=20)
    features, rank, task = views(examples)
    order = np.random.default_rng(1).permutation(len(examples))
    mixed = examples.take(order)
    other_rank, other_task = features(mixed.embeddings, mixed.scalars, mixed.codes())
    assert other_rank == pytest.approx(rank[order], abs=1e-5)
    assert other_task == pytest.approx(task, abs=1e-5)


def test_costfield_missing_scalars_are_said_to_be_missing() -> None:
    scalars = np.array(labelled(problems=20).scalars)
    scalars[0, 0] = np.nan  # one of six siblings
    scalars[6:12, 0] = np.nan  # a whole task
    features, rank, task = views(labelled(problems=20, scalars=scalars))
    assert features.optional.tolist() == [True, False, False]
    value, indicator = 12, 15  # columns: 12 of the embedding, 3 scalars, 1 indicator
    assert rank[0, value] == 0  # at its siblings' mean…
    assert rank[0, indicator] == pytest.approx(5 / 6)  # …and known to be absent
    assert rank[1:6, indicator] == pytest.approx(-1 / 6)
    assert rank[6:12, indicator] == pytest.approx(0)
    assert task[1, value] == 0
    assert task[:3, indicator] == pytest.approx([1 / 6, 1, 0])
    present = scalars[1:6, 0] - scalars[1:6, 0].mean()
    assert rank[1:6, value] == pytest.approx(present * features.scalar_rank_scale[0], rel=1e-4)


def test_costfield_features_that_never_vary_are_left_out_and_tiny_ones_are_not() -> None:
    scalars = np.array(labelled(problems=30).scalars)
    scalars[:, 1] = 7e4  # constant, and large
    scalars[:, 2] = 1e-9 * scalars[:, 2]
    embeddings = np.array(labelled(problems=30).embeddings)
    embeddings[:, 3] = -2.5
    features, rank, _ = views(labelled(problems=30, scalars=scalars, embeddings=embeddings))
    assert features.scalar_rank_scale[1] == features.scalar_task_scale[1] == 0
    assert features.rank_scale[3] == features.task_scale[3] == 0
    assert (rank[:, [3, 13]] == 0).all()
    assert rank[:, 14].std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("problems", [4, 80])  # fewer rows than dimensions, and more
def test_costfield_principal_directions_are_those_of_a_full_decomposition(problems: int) -> None:
    rng = np.random.default_rng(2)
    spread = np.linspace(1, 0.05, 60)
    mixing = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    embeddings = (rng.standard_normal((problems * 6, 60)) * spread**2) @ mixing
    examples = labelled(problems=problems, embeddings=embeddings)
    features, rank, _ = views(examples, components=5, weight=5.0)
    basis = features.rank_basis.astype(np.float64)
    assert basis.shape == (60, 5)
    centred = examples.embeddings - np.repeat(examples.embeddings.reshape(problems, 6, 60).mean(1), 6, 0)
    _, _, exact = np.linalg.svd(centred * features.rank_scale, full_matrices=False)
    ours = basis / np.linalg.norm(basis, axis=0)
    assert np.linalg.svd(exact[:5] @ ours, compute_uv=False) == pytest.approx(np.ones(5), abs=0.02)
    assert np.square(rank[:, :5]).mean() == pytest.approx(1, abs=0.01)
    assert np.array_equal(basis, FeatureMap.fit(examples, 5, 5.0).rank_basis)


def test_costfield_embeddings_that_never_differ_give_no_direction() -> None:
    features, rank, _ = views(labelled(problems=5, embeddings=np.ones((30, 12))), components=4)
    assert (rank[:, : features.widths[0] - 3] == 0).all()


@pytest.mark.parametrize("components", [None, 4])
def test_costfield_embedding_has_the_weight_it_is_given_beside_the_scalars(components: int | None) -> None:
    _, rank, task = views(labelled(problems=200), components, weight=3.0)
    for view in (rank, task):
        assert np.square(view[:, :-3]).mean(axis=0).sum() == pytest.approx(3, abs=0.05)
        assert np.square(view[:, -3:]).mean(axis=0) == pytest.approx(np.ones(3), abs=0.02)
