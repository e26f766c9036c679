"""What each codec loses, beside what theory says it must, and beside faiss where it is installed.

    python benchmarks/quantise.py [--json] [--dims 1536] [--rows 1000]

`distortion` is, per bit width, the share of energy that TurboQuant-MSE loses on unit vectors as uneven as a language
model's states; `unrotated` is the same without the rotation, `eden`, `polar` and `dither` are the other codecs, and
`faiss` is its "RR,SQtqmse" (extra `bench`). `product` is d · variance of TurboQuant-prod's inner products, and
`prod_ratio` that over the distortion at a bit less, the mean over its widths: π/2 in theory. `bytes_per_row` counts
codes and the one number beside them.

What storing does to choosing among candidates is for the ablations to say.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from costfield.data import Floats
from costfield.quantise.quantiser import Quantiser, quantiser
from costfield.quantise.scalar import Scalar
from costfield.quantise.spec import WIDTHS, CodecSpec, Name

THEORY = {1: 0.36338, 2: 0.11748, 3: 0.03455, 4: 0.00950}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object, as the last line")
    parser.add_argument("--dims", type=int, default=1536)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    x = uneven(given.rows, given.dims)
    result: dict[str, Any] = {"dims": given.dims, "rows": given.rows, "theory": THEORY}
    for name in ("scalar", "eden", "polar"):
        result["distortion" if name == "scalar" else name] = widths(name, lambda one: distortion(one, x), given.dims)
    result["unrotated"] = {
        bits: distortion(quantiser(CodecSpec(name="scalar", bits=bits), given.dims), x) for bits in WIDTHS["scalar"]
    }
    dithered = {bits: quantiser(CodecSpec.of(bits, given.dims, dither=True), given.dims) for bits in (8, 4, 3)}
    result["dither"] = {bits: distortion(one, x) for bits, one in dithered.items()}
    result["product"] = widths("product", lambda one: given.dims * variance(one, x), given.dims)
    coarse = widths("product", lambda one: distortion(without_sketch(one), x), given.dims)
    result["prod_ratios"] = {bits: result["product"][bits] / coarse[bits] for bits in coarse}
    result["prod_ratio"] = float(np.mean(list(result["prod_ratios"].values())))
    result["bytes_per_row"] = {32: 4 * given.dims, 16: 2 * given.dims} | widths(
        "scalar", lambda one: one.bytes_per_row, given.dims
    )
    result["rows_per_second"] = speed(quantiser(CodecSpec.of(4, given.dims), given.dims), x)
    result["faiss"] = faiss_distortion(x)
    if given.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:16} {json.dumps(value)}" for name, value in result.items()))


def uneven(rows: int, dims: int) -> Floats:
    """(rows, dims) unit vectors whose coordinates differ in size by orders of magnitude."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, dims)) * np.exp(1.4 * rng.standard_normal(dims))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def widths(name: Name, measure: Callable[[Quantiser], float], dims: int) -> dict[int, float]:
    """What `measure` says of a codec at each of its bit widths."""
    return {bits: measure(quantiser(CodecSpec.of(bits, dims, name=name), dims)) for bits in WIDTHS[name]}


def ids(x: Floats) -> np.ndarray:
    return np.arange(len(x), dtype=np.uint64)


def distortion(codec: Quantiser, x: Floats) -> float:
    """Share of the energy of unit vectors that is lost."""
    return float(np.square(codec.decode(codec.encode(x, ids(x))) - x).sum(axis=1).mean())


def without_sketch(codec: Quantiser) -> Quantiser:
    """The scalar codes in TurboQuant-prod alone: a bit less."""
    return replace(codec, coder=Scalar(codec.dims, 8 * codec.coder.width // codec.dims - 1))


def variance(codec: Quantiser, x: Floats) -> float:
    """Variance of inner products with unit vectors of random direction."""
    queries = np.random.default_rng(1).standard_normal((200, x.shape[1]))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    return float((codec.inner(codec.encode(x, ids(x)), queries) - x @ queries.T).var())


def speed(codec: Quantiser, x: Floats) -> dict[str, float]:
    """Rows a second at 4 bits, in and out."""
    begin = time.perf_counter()
    codes = codec.encode(x, ids(x))
    between = time.perf_counter()
    codec.decode(codes)
    return {"in": len(x) / (between - begin), "out": len(x) / (time.perf_counter() - between)}


def faiss_distortion(x: Floats) -> dict[int, float] | None:
    """The same measure of faiss's codec after its random rotation; None where faiss is not installed."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return None
    lost = {}
    for bits in WIDTHS["scalar"]:
        index = faiss.index_factory(x.shape[1], f"RR,SQtqmse{bits}")
        index.train(x)
        lost[bits] = float(np.square(index.sa_decode(index.sa_encode(x)) - x).sum(axis=1).mean())
    return lost


if __name__ == "__main__":
    main()
