"""Subtractive dither: its error is uniform, knows nothing of the vector, and averages out. Without it, none of that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from costfield.data import Floats
from costfield.quantise.draws import F64, U64
from costfield.quantise.quantiser import quantiser
from costfield.quantise.rotation import Rotation
from costfield.quantise.scalar import Dithered
from costfield.quantise.spec import CodecSpec

DIMS, ROWS = 896, 300
CRITICAL = 1.63  # of √n · sup |F_n − F|, at 1%: Kolmogorov's law


def flat() -> Floats:
    """(ROWS, DIMS) unit vectors whose coordinates take two values: the worst that rounding can be given."""
    return (np.random.default_rng(1).choice([-1, 1], (ROWS, DIMS)) / np.sqrt(DIMS)).astype(np.float32)


def rotated() -> Floats:
    """(ROWS, DIMS) unit vectors after rotation, of rows that were far from uniform."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, DIMS)) * np.exp(1.4 * rng.standard_normal(DIMS))
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return Rotation.of(DIMS, 0, "hadamard")(unit)


def errors(z: Floats, bits: int) -> F64:
    """In steps Δ."""
    coder = Dithered(DIMS, bits, seed=0)
    ids = np.arange(len(z), dtype=np.uint64)
    return (coder.decode(coder.encode(z, ids)[0], ids).astype(np.float64) - z) / coder.step


def from_uniform(error: F64) -> float:
    """√n times the greatest gap between the errors' distribution function and that of a uniform on ±½."""
    ordered, n = np.sort(error.ravel()), error.size
    expected = np.clip(ordered + 0.5, 0, 1)
    gap = np.maximum(np.arange(1, n + 1) / n - expected, expected - np.arange(n) / n).max()
    return float(np.sqrt(n) * gap)


def by_value(z: Floats, error: F64, bins: int = 20) -> tuple[float, float]:
    """How far the error's mean and its square's, for each 20th of the values, are from ±½'s: the worst, in sigmas."""
    order = np.argsort(z, axis=None)
    parts = np.array_split(error.ravel()[order], bins)
    off = [abs(part.mean()) / np.sqrt(1 / 12 / len(part)) for part in parts]
    square = [abs((part**2).mean() - 1 / 12) / np.sqrt(1 / 180 / len(part)) for part in parts]
    return max(off), max(square)


@pytest.fixture
def no_dither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dithered, "noise", lambda self, ids: np.zeros((len(ids), self.dims)))


@pytest.mark.parametrize("vectors", [rotated, flat])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_dithered_error_is_uniform_with_the_variance_of_its_step(bits: int, vectors: Callable[[], Floats]) -> None:
    error = errors(vectors(), bits)
    assert np.quantile(np.abs(error), 0.99999) <= 0.5 + 1e-3, "but for one coordinate in a million, within half a step"
    assert from_uniform(error) < CRITICAL
    assert error.var() == pytest.approx(1 / 12, rel=0.01)
    assert abs(error.mean()) < 3 * np.sqrt(1 / 12 / error.size)


@pytest.mark.parametrize("vectors", [rotated, flat])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_dithered_error_is_independent_of_the_input(bits: int, vectors: Callable[[], Floats]) -> None:
    z = vectors()
    error = errors(z, bits)
    assert max(by_value(z, error)) < 4
    assert abs(np.corrcoef(z.ravel(), error.ravel())[0, 1]) < 3 / np.sqrt(error.size)
    assert abs(np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1]) < 3 / np.sqrt(error.size)


@pytest.mark.usefixtures("no_dither")
def test_without_dither_the_error_is_neither() -> None:
    assert from_uniform(errors(flat(), 3)) > 50 * CRITICAL
    z = rotated()
    assert max(by_value(z, errors(z, 3))) > 100


def copies(x: Floats, bits: int, count: int = 400) -> Floats:
    """The mean of `count` stored copies of one vector, each under its own id."""
    codec = quantiser(CodecSpec.of(bits, DIMS, dither=True), DIMS)
    read: Floats = codec.decode(codec.encode(np.tile(x, (count, 1)), np.arange(count, dtype=np.uint64))).mean(axis=0)
    return read


def test_dithered_copies_average_to_the_vector() -> None:
    x = np.random.default_rng(3).standard_normal((1, DIMS)).astype(np.float32)
    one, many = (np.square(copies(x, 4, count) - x).sum() / np.square(x).sum() for count in (1, 400))
    assert one / many == pytest.approx(400, rel=0.15)


@pytest.mark.usefixtures("no_dither")
def test_undithered_copies_do_not() -> None:
    x = np.random.default_rng(3).standard_normal((1, DIMS)).astype(np.float32)
    one, many = (np.square(copies(x, 4, count) - x).sum() for count in (1, 400))
    assert one / many == pytest.approx(1, rel=0.01)


def test_dither_comes_of_the_row_and_the_seed_alone() -> None:
    z = rotated()[:3]
    ids: U64 = np.array([5, 9, 5], np.uint64)
    noise = Dithered(DIMS, 4, seed=0).noise(ids)
    assert np.array_equal(noise[0], noise[2]) and not np.array_equal(noise[0], noise[1])
    assert not np.array_equal(noise, Dithered(DIMS, 4, seed=1).noise(ids))
    coder = Dithered(DIMS, 4, seed=0)
    together = coder.encode(z, ids)[0]
    assert np.array_equal(together[1:2], coder.encode(z[1:2], ids[1:2])[0]), "rows may be written in any company"
