"""PolarQuant (arXiv 2502.02617): neighbours become a radius and an angle, radii become radii and angles, and so on.

After a random rotation the angles are independent of each other and of the radii, each with a law that depends only on
how many coordinates lie under its two branches. The first angles go round the circle and get b + 1 bits; all others
lie in a quarter of it, ever closer to its middle, and get b − 1: b bits a coordinate. The paper stops after four levels
and stores a radius for every 16 coordinates; here the tree goes on to its root, whose radius is the norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from costfield.data import Floats
from costfield.quantise import codebook
from costfield.quantise.draws import F64, U64
from costfield.quantise.scalar import Bytes, Coder, pack, packed_width, unpack


@dataclass(frozen=True)
class Polar(Coder):
    """`bits` a coordinate; `dims` even."""

    dims: int
    bits: int  # 2 to 4

    @property
    def width(self) -> int:
        return self._circle + packed_width(self.dims // 2 - 1, self.bits - 1)

    def encode(self, z: Floats, ids: U64) -> tuple[Bytes, F64]:
        around = np.arctan2(z[:, 1::2], z[:, 0::2]) / (2 * np.pi)  # (n, d/2) in turns, −½ to ½
        cells = np.floor((around + 0.5) * self._sectors).astype(np.int64) % self._sectors
        radii = np.hypot(z[:, 0::2], z[:, 1::2])
        angles = []
        for level in self._levels:
            paired = 2 * len(level)
            left, right = radii[:, 0:paired:2], radii[:, 1:paired:2]
            psi = np.arctan2(right, left)
            angles.append(np.stack([book.codes(psi[:, i]) for i, book in enumerate(level)], axis=1))
            radii = np.concatenate([np.hypot(left, right), radii[:, paired:]], axis=1)
        rest = np.concatenate(angles, axis=1) if angles else np.zeros((len(z), 0), np.uint8)
        code = [pack(cells.astype(np.uint8), self.bits + 1), pack(rest, self.bits - 1)]
        return np.concatenate(code, axis=1), np.ones(len(z))

    def decode(self, code: Bytes, ids: U64) -> Floats:
        cells = unpack(code[:, : self._circle], self.bits + 1, self.dims // 2)
        rest = unpack(code[:, self._circle :], self.bits - 1, self.dims // 2 - 1)
        radii = np.ones((len(code), 1), np.float32)
        for level in reversed(self._levels):
            rest, mine = rest[:, : -len(level)], rest[:, -len(level) :]
            psi = np.stack([book.levels[mine[:, i]] for i, book in enumerate(level)], axis=1)
            whole, odd = radii[:, : len(level)], radii[:, len(level) :]
            radii = np.concatenate([_interleaved(whole * np.cos(psi), whole * np.sin(psi)), odd], axis=1)
        theta = ((cells + 0.5) / self._sectors - 0.5) * (2 * np.pi)
        estimate: Floats = _interleaved(radii * np.cos(theta), radii * np.sin(theta)).astype(np.float32)
        return estimate

    @property
    def _sectors(self) -> int:
        return 1 << self.bits + 1

    @property
    def _circle(self) -> int:
        """Bytes of the first angles."""
        return packed_width(self.dims // 2, self.bits + 1)

    @cached_property
    def _levels(self) -> tuple[tuple[codebook.Codebook, ...], ...]:
        """For each level above the first, from the leaves on, the codebook of each of its angles."""
        return tuple(tuple(codebook.angle(p, q, self.bits - 1) for p, q in pairs) for pairs in tree(self.dims))


def tree(dims: int) -> Iterator[list[tuple[int, int]]]:
    """For each level above the first pairs, how many coordinates lie under the two branches of each angle.

    An odd radius at the end of a level goes up alone.
    """
    under = [2] * (dims // 2)
    while len(under) > 1:
        pairs = list(zip(under[0::2], under[1::2], strict=False))
        yield pairs
        under = [p + q for p, q in pairs] + under[2 * len(pairs) :]


def _interleaved(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """(n, m) twice -> (n, 2m): first of the one, first of the other, second of the one, …"""
    return np.stack([even, odd], axis=2).reshape(len(even), -1)
