"""One code a coordinate: TurboQuant-MSE, EDEN's unbiased scaling of it, and uniform levels under subtractive dither.

All three read rotated unit vectors z, whose coordinates follow one known law, so that the levels need not be stored
and no block of coordinates needs a scale of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from costfield.data import Floats
from costfield.quantise import codebook, draws
from costfield.quantise.draws import F64, U64

Bytes = npt.NDArray[np.uint8]
DITHER_REACH = 5.0  # standard deviations that uniform levels cover; one coordinate in 1.7 million lies beyond


class Coder(Protocol):
    """Bytes for rotated unit vectors, and an estimate of the vectors from the bytes."""

    @property
    def width(self) -> int:
        """Bytes for one vector."""

    def encode(self, z: Floats, ids: U64) -> tuple[Bytes, F64]:
        """(n, d) -> (n, width) bytes, and (n,) the factor by which each row's norm is to be stored."""

    def decode(self, code: Bytes, ids: U64) -> Floats:
        """(n, width) -> (n, d), to be multiplied by what was stored."""

    def inner(self, code: Bytes, ids: U64, queries: Floats) -> Floats:
        """(n, width) and rotated queries (q, d) -> (n, q) inner products, likewise."""
        products: Floats = self.decode(code, ids) @ queries.T
        return products


@dataclass(frozen=True)
class Scalar(Coder):
    """TurboQuant-MSE (arXiv 2504.19874, algorithm 1): each coordinate's nearest Lloyd-Max level.

    Its inner products come out too small, by the factor 1 − D on average. `unbiased` stores ‖x‖ / ⟨z, ẑ⟩ in place of
    ‖x‖, after which they are right on average over rotations (EDEN, arXiv 2108.08842, with S = ‖x‖² / ⟨x, x̂⟩).
    """

    dims: int
    bits: int  # 0 to 8
    unbiased: bool = False

    @property
    def width(self) -> int:
        return packed_width(self.dims, self.bits)

    @cached_property
    def codebook(self) -> codebook.Codebook:
        return codebook.coordinate(self.dims, self.bits)

    def encode(self, z: Floats, ids: U64) -> tuple[Bytes, F64]:
        codes = self.codebook.codes(z)
        along = np.einsum("nd,nd->n", z, self.codebook.levels[codes], dtype=np.float64)
        return pack(codes, self.bits), 1 / along if self.unbiased else np.ones(len(z))

    def decode(self, code: Bytes, ids: U64) -> Floats:
        return self.codebook.levels[unpack(code, self.bits, self.dims)]


@dataclass(frozen=True)
class Dithered(Coder):
    """Uniform levels Δ apart, with noise added before rounding and taken off when reading (Roberts 1962).

    The error is then uniform on ±Δ/2, independent of the vector, of variance Δ²/12, and zero on average (Schuchman,
    IEEE Trans. Comm. 12, 1964); the price is an error above Lloyd-Max's. The noise is drawn from the row's id.
    """

    dims: int
    bits: int  # 3 to 8: with fewer, levels that cover every coordinate are further apart than the coordinates
    seed: int

    @property
    def width(self) -> int:
        return packed_width(self.dims, self.bits)

    @property
    def step(self) -> float:
        """Δ."""
        return 2 * DITHER_REACH / ((1 << self.bits) - 1) / float(np.sqrt(self.dims))

    def encode(self, z: Floats, ids: U64) -> tuple[Bytes, F64]:
        cells = np.floor(z / self.step + self.noise(ids)) + (1 << self.bits - 1)
        codes = np.clip(cells, 0, (1 << self.bits) - 1).astype(np.uint8)
        return pack(codes, self.bits), np.ones(len(z))

    def decode(self, code: Bytes, ids: U64) -> Floats:
        cells = unpack(code, self.bits, self.dims).astype(np.float64) - (1 << self.bits - 1) + 0.5
        estimate: Floats = ((cells - self.noise(ids)) * self.step).astype(np.float32)
        return estimate

    def noise(self, ids: U64) -> F64:
        """(n, d) uniform on [−½, ½): the dither in steps, each row's from its id."""
        drawn = [draws.uniform(f"dither {row}", self.seed, self.dims) for row in ids.tolist()]
        return np.stack(drawn) - 0.5


def packed_width(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def pack(codes: Bytes, bits: int) -> Bytes:
    """(n, count) codes below 2^bits -> (n, packed_width) bytes without gaps, lowest bit first."""
    if bits == 8:
        return codes
    spread = np.unpackbits(codes[..., None], axis=2, count=bits, bitorder="little") if bits else codes[:, :0]
    return np.packbits(spread.reshape(len(codes), -1), axis=1, bitorder="little")


def unpack(code: Bytes, bits: int, count: int) -> Bytes:
    """The inverse of `pack`: (n, packed_width) -> (n, count)."""
    if bits == 8:
        return code
    if bits == 0:
        return np.zeros((len(code), count), np.uint8)
    spread = np.unpackbits(code, axis=1, count=count * bits, bitorder="little")
    return np.packbits(spread.reshape(len(code), count, bits), axis=2, bitorder="little")[..., 0]
