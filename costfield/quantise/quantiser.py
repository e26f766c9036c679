"""Vectors to bytes and back.

    x ─► x − centre ─► ‖·‖ stored as one float32 ─► rotation ─► coder ─► bytes

The centre is one vector for many rows, and optional. What rows have in common then costs nothing: codecs lose a fixed
share of the energy that they are given, and of language-model states most is common to all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from costfield.data import Floats
from costfield.errors import InvalidExamples
from costfield.quantise.draws import U64
from costfield.quantise.polar import Polar
from costfield.quantise.product import Product
from costfield.quantise.rotation import Rotation
from costfield.quantise.scalar import Bytes, Coder, Dithered, Scalar
from costfield.quantise.spec import CodecSpec

ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """n vectors as they are stored."""

    code: Bytes  # (n, width)
    scale: Floats  # (n,) what a decoded unit vector is multiplied by; 0 for a vector at the centre
    centre: Floats | None  # (d,)
    ids: U64  # (n,) names of the rows, from which dither is drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiser:
    """One codec for vectors of `dims` coordinates."""

    dims: int
    rotation: Rotation
    coder: Coder

    @property
    def bytes_per_row(self) -> int:
        """Of codes and scale."""
        return self.coder.width + np.dtype(np.float32).itemsize

    def encode(self, x: Floats, ids: U64, centre: Floats | None = None) -> Codes:
        """(n, d) -> codes. Raises `InvalidExamples` for a vector with a NaN or an infinity, or of zeros only."""
        require_vectors(x)
        code, scale = np.empty((len(x), self.coder.width), np.uint8), np.zeros(len(x), np.float32)
        for rows in _blocks(len(x)):
            apart = x[rows].astype(np.float64) - (0 if centre is None else centre)
            norm = np.linalg.norm(apart, axis=1)
            unit = (apart / np.where(norm > 0, norm, 1)[:, None]).astype(np.float32)
            unit[norm == 0, 0] = 1  # any direction does where the length is 0
            code[rows], gain = self.coder.encode(self.rotation(unit), ids[rows])
            with np.errstate(over="ignore"):  # said below, in words
                scale[rows] = norm * gain
        if not np.isfinite(scale).all():
            raise InvalidExamples(f"{int(np.isinf(scale).sum())} embeddings are longer than float32 can say")
        return Codes(code=code, scale=scale, centre=centre, ids=ids)

    def decode(self, codes: Codes) -> Floats:
        """Codes -> (n, d)."""
        x = np.empty((len(codes.code), self.dims), np.float32)
        for rows in _blocks(len(x)):
            z = self.coder.decode(codes.code[rows], codes.ids[rows])
            x[rows] = self.rotation.back(z) * codes.scale[rows, None]
        return x if codes.centre is None else x + codes.centre

    def inner(self, codes: Codes, queries: Floats) -> Floats:
        """Codes and (q, d) -> (n, q) inner products; the queries are rotated, and the rows never turned back."""
        turned = self.rotation(np.asarray(queries, np.float32))
        products = np.empty((len(codes.code), len(queries)), np.float32)
        for rows in _blocks(len(products)):
            estimate = self.coder.inner(codes.code[rows], codes.ids[rows], turned)
            products[rows] = estimate * codes.scale[rows, None]
        return products if codes.centre is None else products + queries @ codes.centre


@functools.lru_cache(maxsize=8)
def quantiser(spec: CodecSpec, dims: int) -> Quantiser:
    """The codec that `spec` names. Raises `InvalidExamples` where vectors of `dims` coordinates are not for it."""
    if dims < 2 or (spec.name == "polar" and dims % 2):
        raise InvalidExamples(f"the {spec} codec cannot store embeddings of {dims} dimensions; choose float16")
    coder: Coder
    match spec.name:
        case "scalar" if spec.dither:
            coder = Dithered(dims, spec.bits, spec.seed)
        case "scalar" | "eden":
            coder = Scalar(dims, spec.bits, unbiased=spec.name == "eden")
        case "product":
            coder = Product(dims, spec.bits, spec.seed)
        case "polar":
            coder = Polar(dims, spec.bits)
        case "float":
            raise ValueError("floats are stored as they are")
    return Quantiser(dims=dims, rotation=Rotation.of(dims, spec.seed, spec.rotation), coder=coder)


def require_vectors(x: Floats) -> None:
    """Raise `InvalidExamples` unless every row of (n, d) has a direction."""
    for bad, what in (
        (~np.isfinite(x).all(axis=1), "have a NaN or an infinity"),
        (~x.any(axis=1), "are zeros only, which have no direction"),
    ):
        if bad.any():
            raise InvalidExamples(
                f"{int(bad.sum())} embeddings {what}, the first is row {int(bad.argmax())}; "
                "leave such candidates out or embed them again"
            )


def _blocks(count: int) -> Iterator[slice]:
    """Few rows at a time: a row takes many times its size while it is worked on."""
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, count, ROWS_AT_ONCE))
