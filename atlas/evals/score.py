"""Stage 4: the cost that a ranker gives each candidate of a pool. The only stage that a new Cost Field does again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from atlas.evals.parts import read_rows, write_rows
from atlas.evals.pool import Pool
from atlas.evals.run import Run
from atlas.protocols import Fingerprinter, Ranker
from atlas.types import Ranked

F64 = npt.NDArray[np.float64]
SCHEMA = pa.schema(
    [("digest", pa.string()), ("cost", pa.float64()), ("p_pass", pa.float64()), ("problem", pa.string())]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A ranker to be measured. `id` names everything that its costs depend on: the weights' hash for a Cost Field.

    `open` makes the ranker over the run's recorded fingerprints.
    """

    name: str
    id: str
    open: Callable[[Fingerprinter], Ranker]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A ranker's costs over a pool's n candidates: +inf where it could not score, `p_pass` NaN where it says none."""

    name: str
    cost: F64
    p_pass: F64

    @property
    def unscored(self) -> int:
        return int(np.isinf(self.cost).sum())


async def score(run: Run, pool: Pool, contender: Contender, fingerprints: Fingerprinter) -> Scores:
    """The costs of the pool's candidates, from `scores/` where the same ranker gave them to the same candidates."""
    about = {"ranker": contender.name, "id": contender.id, "fingerprint_id": fingerprints.id, "pool": _digest(pool)}
    path = run.scores(contender.name)
    rows, noted = read_rows(path)
    if noted != about:
        ranker = contender.open(fingerprints)
        ranked = [
            one for entry in pool.entries
            for one in _in_order(await ranker.rank(entry.problem.task, entry.candidates), len(entry.candidates))
        ]
        rows = [
            {"digest": r.candidate.digest, "cost": r.cost, "p_pass": r.p_pass, "problem": r.problem} for r in ranked
        ]
        write_rows(path, rows, SCHEMA, about=about)
    return Scores(
        name=contender.name,
        cost=np.array([np.inf if row["cost"] is None else row["cost"] for row in rows], dtype=np.float64),
        p_pass=np.array([np.nan if row["p_pass"] is None else row["p_pass"] for row in rows], dtype=np.float64),
    )


def _in_order(ranked: Sequence[Ranked], count: int) -> list[Ranked]:
    """Back in the order in which the candidates were given. A ranker that loses or doubles one is broken."""
    by_index = {one.candidate.index: one for one in ranked}
    if len(by_index) != count or len(ranked) != count:
        raise ValueError(f"a ranker was given {count} candidates and gave back {len(ranked)}")
    return [by_index[index] for index in sorted(by_index)]


def _digest(pool: Pool) -> str:
    """SHA-256 over the pool's problems and candidates, in order."""
    sha = hashlib.sha256()
    for entry in pool.entries:
        sha.update(f"{entry.problem.id}\0{[c.digest for c in entry.candidates]}\0".encode())
    return sha.hexdigest()
