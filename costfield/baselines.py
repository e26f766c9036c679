"""What a Cost Field has to beat, on the same candidates: rules that need no training.

Each is a cost read off one column. A candidate whose column is missing is unscored and ranked last.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from costfield.data import Examples, unavailable

F64 = npt.NDArray[np.float64]

# Scalar columns that the baselines read; a data set may name its own.
COLUMNS: Mapping[str, str] = {
    "shortest": "chars",  # fewer is cheaper
    "longest": "chars",  # more is cheaper
    "log-probability": "logprob_mean",  # higher is cheaper: the model's own confidence in its tokens
    "agreement": "agreement",  # higher is cheaper: the medoid, most like its siblings
}
HIGHER_IS_CHEAPER = frozenset({"longest", "log-probability", "agreement"})


def baseline_costs(examples: Examples, columns: Mapping[str, str] = COLUMNS) -> dict[str, F64]:
    """(n,) cost of each baseline that the data has the columns for. `random` is a tie among all, always there."""
    costs: dict[str, F64] = {"random": np.zeros(len(examples))}
    if examples.index is not None:
        costs["first"] = examples.index.astype(np.float64)
    for name, column in columns.items():
        if column in examples.scalar_names and column not in unavailable(examples):
            values = examples.column(column).astype(np.float64)
            signed = -values if name in HIGHER_IS_CHEAPER else values
            costs[name] = np.where(np.isnan(signed), np.inf, signed)
    return costs
