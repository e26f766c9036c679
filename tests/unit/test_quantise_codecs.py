"""Codecs: the errors that their sources derive, on data that no codec would like, and what they refuse."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from pydantic import ValidationError

from costfield.data import Floats
from costfield.errors import InvalidExamples
from costfield.quantise import codebook
from costfield.quantise.columns import row_ids
from costfield.quantise.draws import normal, signs, uniform, words
from costfield.quantise.quantiser import Codes, Quantiser, quantiser
from costfield.quantise.rotation import Rotation, dense_width, fastest
from costfield.quantise.scalar import pack, packed_width, unpack
from costfield.quantise.spec import WIDTHS, CodecSpec, Name

ROWS = 250
LLOYD_MAX = {1: 0.36338, 2: 0.11748, 3: 0.03455, 4: 0.00950}
"""Mean squared error of N(0, 1) under the best quantiser of that many bits (Max 1960, table I)."""


@functools.cache
def uneven(dims: int, rows: int = ROWS, seed: int = 0) -> Floats:
    """(rows, dims) unit vectors whose coordinates differ in size as those of language-model states do."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dims)) * np.exp(1.4 * rng.standard_normal(dims))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def ids(rows: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.arange(rows, dtype=np.uint64)


def open_codec(bits: int, dims: int, name: Name = "scalar", **changes: object) -> Quantiser:
    return quantiser(CodecSpec.of(bits, dims, name=name).model_copy(update=changes), dims)


def restored(codec: Quantiser, x: Floats) -> Floats:
    return codec.decode(codec.encode(x, ids(len(x))))


def distortion(codec: Quantiser, x: Floats) -> float:
    """Share of the energy of unit vectors that is lost."""
    return float(np.square(restored(codec, x) - x).sum(axis=1).mean())


@pytest.mark.parametrize("dims", [896, 1536])
@pytest.mark.parametrize("bits", LLOYD_MAX)
def test_scalar_codes_lose_what_the_table_says(bits: int, dims: int) -> None:
    assert distortion(open_codec(bits, dims), uneven(dims)) == pytest.approx(LLOYD_MAX[bits], rel=0.05)


@pytest.mark.parametrize("dims", [896, 1536])
@pytest.mark.parametrize("bits", LLOYD_MAX)
def test_unbiased_scaling_costs_what_theory_says(bits: int, dims: int) -> None:
    error = LLOYD_MAX[bits]
    assert distortion(open_codec(bits, dims, "eden"), uneven(dims)) == pytest.approx(error / (1 - error), rel=0.05)


@pytest.mark.parametrize("dims", [896, 1536])
def test_more_bits_lose_less_within_the_bounds(dims: int) -> None:
    for bits in (1, 2, 3, 4, 8):
        lost = distortion(open_codec(bits, dims), uneven(dims))
        assert 4.0**-bits <= lost <= 1.02 * np.sqrt(3) * np.pi / 2 * 4.0**-bits, "theorems 3 and 1, and sampling"


@pytest.mark.parametrize("dims", [896, 1536])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_quantised_product_variance_follows_from_the_scalar_error(bits: int, dims: int) -> None:
    x, queries = uneven(dims), unit(np.random.default_rng(1).standard_normal((200, dims)))
    codec = open_codec(bits, dims, "product")
    error = codec.inner(codec.encode(x, ids(ROWS)), queries) - x @ queries.T
    below = 1.0 if bits == 1 else distortion(open_codec(bits - 1, dims), x)
    assert dims * float(error.var()) / below == pytest.approx(np.pi / 2, rel=0.05)


def unit(x: np.ndarray) -> Floats:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize(("name", "unbiased"), [("product", True), ("eden", True), ("scalar", False)])
def test_quantised_inner_products_are_unbiased_or_known_not_to_be(name: Name, unbiased: bool, bits: int) -> None:
    """One pair of vectors, far from uniform, under many rotations: that is what the expectation is over."""
    dims, draws = 128, 600
    x, other = uneven(dims, 2)
    y = unit((x + 0.7 * other)[None])
    estimates = []
    for seed in range(draws):
        codec = quantiser.__wrapped__(CodecSpec.of(bits, dims, name=name, seed=seed), dims)
        estimates.append(float(codec.inner(codec.encode(x[None], ids(1)), y)[0, 0]))
    off = np.mean(estimates) - float(x @ y[0])
    standard_error = np.std(estimates) / np.sqrt(draws)
    assert (abs(off) < 3 * standard_error) == unbiased, (off, standard_error)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_polar_quantisation_spends_its_bits_and_no_more(bits: int) -> None:
    codec = open_codec(bits, 896, "polar")
    assert codec.bytes_per_row == 896 * bits // 8 + 4
    assert LLOYD_MAX[bits] < distortion(codec, uneven(896)) < 1.1 * LLOYD_MAX[bits]


def test_polar_quantisation_takes_any_even_width() -> None:
    for dims in (2, 6, 14, 22):
        assert distortion(open_codec(4, dims, "polar"), uneven(dims)) < 0.02
    with pytest.raises(InvalidExamples, match="polar4/dense-0/v1 codec cannot store embeddings of 7 dimensions"):
        open_codec(4, 7, "polar")


@pytest.mark.parametrize("name", ["scalar", "eden", "product", "polar"])
def test_quantised_inner_products_are_those_of_what_is_decoded(name: Name) -> None:
    x, queries = 50 * uneven(96, 20), np.random.default_rng(2).standard_normal((5, 96)).astype(np.float32)
    codec = open_codec(3, 96, name)
    codes = codec.encode(x, ids(20), centre=x.mean(axis=0))
    assert codec.inner(codes, queries) == pytest.approx(codec.decode(codes) @ queries.T, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(("bits", "worse"), [(1, 3.0), (2, 5.5), (4, 38.0)])
def test_unrotated_quantised_vectors_lose_many_times_more(bits: int, worse: float) -> None:
    """Levels for N(0, 1/d) fit no coordinate of uneven data: most are far smaller, and a few are cut off."""
    x = uneven(896)
    ratio = distortion(open_codec(bits, 896, rotation="none"), x) / distortion(open_codec(bits, 896), x)
    assert ratio == pytest.approx(worse, rel=0.35)


def test_quantised_rows_at_the_centre_come_back_as_the_centre() -> None:
    x = np.tile(uneven(12, 1), (3, 1))
    codec = open_codec(2, 12)
    assert np.array_equal(codec.decode(codec.encode(x, ids(3), centre=x[0])), x)


def test_quantising_about_a_centre_loses_only_what_is_not_common() -> None:
    x = unit(uneven(896) + 3 * uneven(896, 1, seed=9))
    codec = open_codec(4, 896)
    codes = codec.encode(x, ids(ROWS), centre=x.mean(axis=0))
    lost, apart = np.square(codec.decode(codes) - x).sum(), np.square(x - x.mean(axis=0)).sum()
    assert apart < 0.2 * ROWS and lost / apart == pytest.approx(LLOYD_MAX[4], rel=0.05)


# ---- rotation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dims", "kind"), [(12, "dense"), (100, "dense"), (128, "hadamard"), (1536, "hadamard")])
def test_quantise_rotations_keep_lengths_and_angles(dims: int, kind: str) -> None:
    assert fastest(dims) == kind
    rotation = Rotation.of(dims, 3, fastest(dims))
    x = uneven(dims, 50)
    z = rotation(x)
    assert z @ z.T == pytest.approx(x @ x.T, abs=1e-5)
    assert rotation.back(z) == pytest.approx(x, abs=1e-5)
    assert np.abs(z - Rotation.of(dims, 4, fastest(dims))(x)).max() > 0.1, "another seed is another rotation"


def test_quantise_rotations_make_a_single_coordinate_look_normal() -> None:
    dims = 1536
    z = np.sqrt(dims) * np.concatenate(
        [Rotation.of(dims, seed, "hadamard")(np.eye(1, dims, 5, dtype=np.float32)) for seed in range(60)]
    )
    assert float(np.mean(z**4)) == pytest.approx(3, rel=0.05), "kurtosis; 1 after one round of signs alone"


def test_quantise_rotation_widths() -> None:
    assert [dense_width(dims) for dims in (7, 96, 768, 896, 1536, 5120, 1023)] == [7, 96, 48, 56, 48, 40, 1023]


def test_quantised_stores_of_today_will_be_read_tomorrow() -> None:
    """A store keeps a seed: were these numbers to change, every stored code would silently mean another vector."""
    assert words("signs 0", 7, 2).tolist() == [9815506391514089658, 1879428727605929548]
    assert signs("signs 0", 7, 8).tolist() == [1, -1, 1, -1, -1, -1, 1, -1]
    assert uniform("dither 1", 7, 2) == pytest.approx([0.5202245628611343, 0.12018040244932049], abs=1e-15)
    assert normal("sketch", 7, (1, 3))[0] == pytest.approx([0.60929316841, 0.50846520323, 0.87060625594])
    first = np.eye(1, 128, dtype=np.float32)
    turned = Rotation.of(128, 7, "hadamard")(first)[0, :3]
    assert turned == pytest.approx([0.00535948, 0.02381712, -0.07172824], abs=1e-6)
    turned = Rotation.of(12, 7, "dense")(first[:, :12])[0, :3]
    assert turned == pytest.approx([-0.4191634, -0.2629169, -0.2587412])
    assert row_ids(["a", "a"], [0, 1]).tolist() == [509587692978104496, 6966089651946105093]


@pytest.mark.parametrize(
    ("name", "bits", "dither", "begins"),
    [
        ("scalar", 8, False, [-0.31511, 0.03099, -0.09322]),
        ("scalar", 4, False, [-0.59246, 0.31954, 0.01628]),
        ("scalar", 3, False, [0.4043, -0.00825, 0.19321]),
        ("scalar", 1, False, [0.67835, -0.75007, -0.44178]),
        ("scalar", 8, True, [-0.73631, -0.07088, -1.12496]),
        ("product", 3, False, [0.24615, 1.25195, 0.57397]),
        ("polar", 3, False, [1.28532, 0.72792, 0.74943]),
    ],
)
def test_quantised_bytes_mean_the_same_vector_for_ever(
    name: Name, bits: int, dither: bool, begins: list[float]
) -> None:
    """Where this fails for a reason, `CODEC_VERSION` has to change with it."""
    codec = quantiser(CodecSpec.of(bits, 128, name=name, seed=7, dither=dither), 128)
    code = (np.arange(codec.coder.width) * 37 % 256).astype(np.uint8)[None]
    codes = Codes(code=code, scale=np.array([10], np.float32), centre=None, ids=np.array([5], np.uint64))
    assert codec.decode(codes)[0, :3] == pytest.approx(begins, abs=2e-5)


# ---- levels and bytes -----------------------------------------------------------------------------------------------


def test_quantiser_levels_are_those_of_the_literature() -> None:
    known = {1: [0.7979], 2: [0.4528, 1.5104], 3: [0.2451, 0.7560, 1.3439, 2.1519]}
    known[4] = [0.1284, 0.3880, 0.6568, 0.9423, 1.2562, 1.6180, 2.0690, 2.7326]
    for bits, positive in known.items():
        book = codebook.coordinate(100_000, bits)
        assert book.levels[len(positive) :] * np.sqrt(100_000) == pytest.approx(positive, abs=3e-4)
        assert book.levels == pytest.approx(-book.levels[::-1], abs=1e-7)
        assert book.error * 100_000 == pytest.approx(LLOYD_MAX[bits], rel=1e-3)


def test_quantiser_levels_fit_few_dimensions_too() -> None:
    """In three dimensions a coordinate is uniform on ±1, in two it follows the arcsine law."""
    assert codebook.coordinate(3, 2).levels == pytest.approx([-0.75, -0.25, 0.25, 0.75], abs=1e-5)
    assert codebook.coordinate(2, 1).levels == pytest.approx([-2 / np.pi, 2 / np.pi], abs=1e-5)


@pytest.mark.parametrize("bits", range(9))
def test_quantised_bytes_hold_codes_without_gaps(bits: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (4, 13)).astype(np.uint8)
    packed = pack(codes, bits)
    assert packed.shape == (4, packed_width(13, bits)) == (4, -(-13 * bits // 8))
    assert np.array_equal(unpack(packed, bits, 13), codes)


@pytest.mark.parametrize("name", ["scalar", "eden", "product", "polar"])
def test_quantised_rows_carry_one_number_beside_their_codes(name: Name) -> None:
    for bits in WIDTHS[name]:
        codec = open_codec(bits, 896, name)
        assert codec.bytes_per_row == 896 * bits // 8 + 4


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_quantising_refuses_vectors_without_a_direction() -> None:
    codec = open_codec(4, 12)
    x = np.array(uneven(12, 5))
    x[3] = 0
    with pytest.raises(InvalidExamples, match="1 embeddings are zeros only, which have no direction, the first is row"):
        codec.encode(x, ids(5))
    x[2, 1] = np.nan
    with pytest.raises(InvalidExamples, match="1 embeddings have a NaN or an infinity, the first is row 2"):
        codec.encode(x, ids(5))
    with pytest.raises(InvalidExamples, match="longer than float32 can say"):
        codec.encode(np.full((1, 12), 2e38, np.float32), ids(1))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bits": 5}, "there is no scalar codec of 5 bits; it has 8, 4, 3, 2, 1"),
        ({"bits": 0}, "there is no scalar codec of 0 bits"),
        ({"bits": 8, "name": "polar"}, "there is no polar codec of 8 bits; it has 4, 3, 2"),
        ({"bits": 4, "name": "float"}, "there is no float codec of 4 bits; it has 32, 16"),
        ({"bits": 2, "dither": True}, "dither is for the scalar codec of 3 bits or more"),
        ({"bits": 4, "name": "eden", "dither": True}, "dither is for the scalar codec"),
        ({"bits": 16, "name": "float", "seed": 1}, "they take no rotation and no seed"),
        ({"bits": 4, "seed": -1}, "greater than or equal to 0"),
    ],
)
def test_quantised_codecs_that_do_not_exist_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CodecSpec.model_validate({"name": "scalar"} | changes)


def test_quantising_needs_two_dimensions() -> None:
    for dims in (0, 1):
        with pytest.raises(InvalidExamples, match=f"cannot store embeddings of {dims} dimensions; choose float16"):
            open_codec(4, dims)
