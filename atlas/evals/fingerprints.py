"""Stage 2: the fingerprint of every candidate, made once and read back by whatever ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio.to_thread
import numpy as np
import pyarrow as pa

from atlas.errors import FingerprintMismatch
from atlas.evals.parts import read_rows, write_rows
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from atlas.protocols import Fingerprint, Fingerprinter
from atlas.types import Candidate, Task

SCHEMA = pa.schema(
    [("digest", pa.string()), ("embedding", pa.binary()), ("scalars", pa.list_(pa.float32())), ("problem", pa.string())]
)


async def fingerprint(run: Run, problem: Problem, candidates: Sequence[Candidate], maker: Fingerprinter) -> bool:
    """Record the fingerprints of the problem's candidates; False where they were recorded already by the same maker."""
    path = run.path("fingerprints", problem)
    about = {"fingerprint_id": maker.id, "scalar_names": list(maker.scalar_names)}
    rows, noted = read_rows(path)
    if noted == about and [row["digest"] for row in rows] == [c.digest for c in candidates]:
        return False
    made = await maker.fingerprints(problem.task, candidates)
    rows = [
        {
            "digest": candidate.digest, "embedding": one.embedding.astype("<f2").tobytes(),
            "scalars": one.scalars.tolist(), "problem": one.problem,
        }
        for candidate, one in zip(candidates, made, strict=True)
    ]
    await anyio.to_thread.run_sync(lambda: write_rows(path, rows, SCHEMA, about=about))
    return True


def read_fingerprints(run: Run, problem: Problem) -> tuple[dict[str, Fingerprint], str, tuple[str, ...]]:
    """Fingerprints by candidate's digest, the id of what made them, and the names of their scalars."""
    rows, about = read_rows(run.path("fingerprints", problem))
    found = {
        row["digest"]: Fingerprint(
            embedding=np.frombuffer(row["embedding"], "<f2").astype(np.float32),
            scalars=np.array(row["scalars"], dtype=np.float32), problem=row["problem"],
        )
        for row in rows
    }
    return found, about.get("fingerprint_id", ""), tuple(about.get("scalar_names", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFingerprints:
    """A `Fingerprinter` that reads what a run recorded, so that a new Cost Field re-reads and the model rests."""

    id: str
    scalar_names: tuple[str, ...]
    by_task: dict[str, dict[str, Fingerprint]]

    @classmethod
    def of(cls, run: Run, problems: Sequence[Problem]) -> RecordedFingerprints:
        """Raises FingerprintMismatch where the run holds two kinds, or none for a problem."""
        by_task, kinds = {}, set()
        for problem in problems:
            found, id_, names = read_fingerprints(run, problem)
            if not id_:
                raise FingerprintMismatch(f"{run.folder} has no fingerprints of {problem.id} yet; go on with the run")
            by_task[problem.id] = found
            kinds.add((id_, names))
        if len(kinds) != 1:
            raise FingerprintMismatch(f"{run.folder} holds {len(kinds)} kinds of fingerprints; begin another run")
        ((id_, names),) = kinds
        return cls(id=id_, scalar_names=names, by_task=by_task)

    async def fingerprints(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Fingerprint]:
        known = self.by_task[task.id]
        return [known[candidate.digest] for candidate in candidates]
