"""TurboQuant-prod (arXiv 2504.19874, algorithm 2): scalar codes of b − 1 bits, and one bit for what they leave over.

The residual r = z − ẑ is kept as the signs of S r, with S a matrix of independent N(0, 1): a Quantised
Johnson-Lindenstrauss sketch (QJL, arXiv 2406.03482), from which √(π/2)/d · ‖r‖ · ⟨S y, sign(S r)⟩ is ⟨y, r⟩ on average.
Its variance is π/(2d) · ‖y‖² · ‖r‖², so that d · variance / D(b − 1) = π/2.

The paper stores ‖r‖ beside each vector. Here nothing is stored but one number: ‖r‖ is taken to be its root mean square
√D, and ‖x‖ is stored divided by ⟨z, ẑ⟩ + √D/‖r‖ · ⟨z, r⟩, which makes the estimate exact along x on average over S.
Across x what is left has mean 0 over rotations, by the symmetry that EDEN uses, and is a tenth of the sketch's noise
or less: ‖r‖ is within a few per cent of √D.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from costfield.data import Floats
from costfield.quantise import draws
from costfield.quantise.draws import F64, U64
from costfield.quantise.scalar import Bytes, Coder, Scalar


@dataclass(frozen=True)
class Product(Coder):
    """Unbiased inner products at `bits` a coordinate, one of them the sketch's."""

    dims: int
    bits: int  # 1 to 8
    seed: int

    @property
    def width(self) -> int:
        return self.scalar.width + -(-self.dims // 8)

    @cached_property
    def scalar(self) -> Scalar:
        return Scalar(self.dims, self.bits - 1)

    @cached_property
    def sketch(self) -> Floats:
        """S: (d, d)."""
        return draws.normal("sketch", self.seed, (self.dims, self.dims)).astype(np.float32)

    @property
    def expected(self) -> float:
        """√D: the root mean square length of what the scalar codes leave over."""
        return float(np.sqrt(self.scalar.codebook.error * self.dims))

    def encode(self, z: Floats, ids: U64) -> tuple[Bytes, F64]:
        code, _ = self.scalar.encode(z, ids)
        rest = z - self.scalar.decode(code, ids)
        along = np.einsum("nd,nd->n", z, rest, dtype=np.float64)  # ⟨z, r⟩; ⟨z, ẑ⟩ is 1 less it
        length = np.linalg.norm(rest.astype(np.float64), axis=1)
        ratio = np.divide(self.expected, length, out=np.zeros(len(z)), where=length > 0)
        signs = np.packbits(rest @ self.sketch.T >= 0, axis=1, bitorder="little")
        return np.concatenate([code, signs], axis=1), 1 / (1 - along + ratio * along)

    def decode(self, code: Bytes, ids: U64) -> Floats:
        coarse, signs = self._parts(code, ids)
        return coarse + signs @ self.sketch

    def inner(self, code: Bytes, ids: U64, queries: Floats) -> Floats:
        """Sketches the queries instead of unsketching the rows."""
        coarse, signs = self._parts(code, ids)
        return coarse @ queries.T + signs @ (queries @ self.sketch.T).T

    def _parts(self, code: Bytes, ids: U64) -> tuple[Floats, Floats]:
        """ẑ, and sign(S r) · √D · √(π/2) / d: both (n, d)."""
        split = self.scalar.width
        ones = np.unpackbits(code[:, split:], axis=1, count=self.dims, bitorder="little").astype(np.float32)
        factor = np.float32(self.expected * np.sqrt(np.pi / 2) / self.dims)
        return self.scalar.decode(code[:, :split], ids), (2 * ones - 1) * factor
