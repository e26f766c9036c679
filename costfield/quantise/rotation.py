"""Random orthogonal maps. After one, each coordinate of a unit vector follows one known law, whatever the vector was.

"dense" is a Haar-distributed matrix: exact, d² numbers to draw and d³ steps to orthogonalise. "hadamard" is three
rounds of: flip signs, then multiply by Q ⊗ H, with Q a small Haar matrix and H a Hadamard matrix of 2ᵏ. Every round is
orthogonal, its set-up costs nothing beside d³, and d need not be padded to a power of two: at d = 1,536 padding would
store a third more. One round alone would leave a vector with a single large coordinate two-valued; from the second on
coordinates mix as normals do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from costfield.data import Floats
from costfield.quantise import draws

Kind = Literal["dense", "hadamard", "none"]
ROUNDS = 3
LEAST_DENSE = 32  # the least width of Q: enough for one round to spread a coordinate's energy over all blocks
LEAST_HADAMARD = 4  # below this H saves nothing over a dense matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """x ↦ R x for rows of x, and back. No steps at all is the identity."""

    steps: tuple[tuple[Floats, Floats], ...]  # signs (d,) and Q (m, m)
    hadamard: Floats  # (s, s), symmetric, orthogonal; m · s = d

    @classmethod
    def of(cls, dims: int, seed: int, kind: Kind) -> Rotation:
        """The rotation of `dims` coordinates that this seed names; the same one at every call."""
        if kind == "none":
            return cls(steps=(), hadamard=_hadamard(1))
        width = dense_width(dims) if kind == "hadamard" else dims
        rounds = ROUNDS if width < dims else 1
        steps = tuple(
            (draws.signs(f"signs {i}", seed, dims), haar(width, seed, f"rotation {i}")) for i in range(rounds)
        )
        return cls(steps=steps, hadamard=_hadamard(dims // width))

    def __call__(self, x: Floats) -> Floats:
        """(n, d) -> (n, d), lengths and angles kept to float32's rounding."""
        for signs, q in self.steps:
            blocks = (x * signs).reshape(len(x), len(q), -1)  # (n, m, s)
            x = (q @ blocks @ self.hadamard).reshape(len(x), -1)
        return x

    def back(self, z: Floats) -> Floats:
        """The inverse: (n, d) -> (n, d)."""
        for signs, q in reversed(self.steps):
            blocks = z.reshape(len(z), len(q), -1)
            z = np.multiply((q.T @ blocks @ self.hadamard).reshape(len(z), -1), signs, dtype=np.float32)
        return z


def fastest(dims: int) -> Kind:
    """ "hadamard" where it splits `dims` usefully, else "dense"."""
    return "hadamard" if dims and dense_width(dims) < dims else "dense"


def dense_width(dims: int) -> int:
    """m of d = m · 2ᵏ: the least that is not below LEAST_DENSE, or d itself where 2ᵏ would be too small to help."""
    width = dims // (dims & -dims)  # the odd part
    while width < LEAST_DENSE:
        width *= 2
    return width if width * LEAST_HADAMARD <= dims else dims


def haar(dims: int, seed: int, purpose: str) -> Floats:
    """(d, d) uniform over orthogonal matrices: QR of a normal matrix with R's diagonal made positive.

    Mezzadri, Notices of the AMS 54 (2007): without the signs the law is not uniform, nor the factorisation unique.
    """
    q, r = np.linalg.qr(draws.normal(purpose, seed, (dims, dims)))
    matrix: Floats = (q * np.where(np.diag(r) < 0, -1, 1)).astype(np.float32)
    return matrix


def _hadamard(size: int) -> Floats:
    """(size, size) for a power of two, by Sylvester's doubling, scaled to be orthogonal."""
    matrix: Floats = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.float32(np.sqrt(size))
