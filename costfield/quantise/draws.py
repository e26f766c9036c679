"""Random numbers from a seed, the same on every machine and under every version of numpy.

A store keeps a seed, not the numbers. numpy promises that a bit generator's raw stream never changes, and promises
nothing of the kind for `Generator.normal` and its siblings: so everything here is made from raw 64-bit words.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from costfield.data import Floats

F64 = npt.NDArray[np.float64]
U64 = npt.NDArray[np.uint64]


def words(purpose: str, seed: int, count: int) -> U64:
    """(count,) raw 64-bit words. Different purposes under one seed are independent."""
    key = int.from_bytes(hashlib.sha256(f"{purpose}\0{seed}".encode()).digest()[:16], "little")
    drawn: U64 = np.random.Philox(key=key).random_raw(count)
    return drawn


def uniform(purpose: str, seed: int, count: int) -> F64:
    """(count,) uniform on [0, 1), in steps of 2⁻⁵³."""
    return (words(purpose, seed, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def signs(purpose: str, seed: int, count: int) -> Floats:
    """(count,) +1 or −1, equally likely."""
    octets = words(purpose, seed, -(-count // 64)).astype("<u8").view(np.uint8)
    drawn: Floats = 1 - 2 * np.unpackbits(octets, count=count, bitorder="little").astype(np.float32)
    return drawn


def normal(purpose: str, seed: int, shape: tuple[int, int]) -> F64:
    """Independent N(0, 1) of this shape (Box & Muller, Ann. Math. Stat. 29, 1958)."""
    count = shape[0] * shape[1]
    half = -(-count // 2)
    drawn = uniform(purpose, seed, 2 * half)
    radius, angle = np.sqrt(-2 * np.log1p(-drawn[:half])), 2 * np.pi * drawn[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(shape)
