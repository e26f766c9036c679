"""`atlas label`: problems in, labelled fingerprints out, in the shards that `atlas costfield train` reads.

The run's files hold everything; the shards are copied from them, some problems at a time. A problem is in the shards
whole or not at all: what is there is read back first, and only the others are added.

    shard-00000.parquet      written by costfield.shards: fingerprints and labels
    programs-00000.parquet   the same candidates in the same order, as text, with their verdicts
    groups.json              which problems were left out as near-duplicates of those kept for measuring
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
import pyarrow as pa

from atlas.errors import ConfigError
from atlas.evals.duplicates import grouped
from atlas.evals.fingerprints import read_fingerprints
from atlas.evals.generate import recorded
from atlas.evals.grade import read_grades
from atlas.evals.parts import read_rows, write_rows
from atlas.evals.problems import Excluded, Problem
from atlas.evals.progress import Progress
from atlas.evals.run import Run
from atlas.evals.stages import Concurrency, Outcome, Parts, Stages
from costfield.data import Examples
from costfield.shards import MANIFEST, Purpose, append_shard, families_in, read_manifest, replace_file
from sandbox.types import Outcome as Verdict

GROUPS = "groups.json"
PROBLEMS_IN_SHARD = 64
SCHEMA = pa.schema(
    [
        ("problem", pa.string()), ("problem_digest", pa.string()), ("digest", pa.string()), ("index", pa.int32()),
        ("copies", pa.int32()), ("source", pa.string()), ("outcome", pa.string()), ("integrity", pa.string()),
        ("isolation", pa.string()), ("failed", pa.int32()), ("message", pa.string()),
        ("unfingerprinted", pa.string()),
    ]
)


@dataclass(slots=True, kw_only=True)
class Shards:
    """The folder of shards. `exported`: the problems in it, each with the digest of the checks that labelled it.

    `families`: the family under which each of them is there.
    """

    run: Run
    folder: Path
    purpose: Purpose = "training"
    exported: dict[str, str] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    waiting: list[Problem] = field(default_factory=list)
    writing: anyio.Lock = field(default_factory=anyio.Lock)

    @classmethod
    def open(cls, run: Run, folder: Path, purpose: Purpose) -> Shards:
        """Read which problems are there already.

        Raises ConfigError where they were labelled for another purpose, or a shard lacks its programs: nobody could
        tell which problems it holds, and they would be labelled twice.
        """
        manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
        if manifest and manifest.purpose != purpose:
            raise ConfigError(
                f"{folder} holds problems labelled for {manifest.purpose}; what is labelled for {purpose} needs a "
                "folder of its own"
            )
        listed = len(manifest.shards) if manifest else 0
        if lost := [path for number in range(listed) if not (path := programs_file(folder, number)).exists()]:
            raise ConfigError(f"{lost[0]} is missing, which says what the shard beside it holds; restore it")
        rows = [row for number in range(listed) for row in read_rows(programs_file(folder, number))[0]]
        exported = {row["problem"]: row["problem_digest"] for row in rows}
        families = families_in(folder) if manifest else {}
        return cls(run=run, folder=folder, purpose=purpose, exported=exported, families=families)

    async def add(self, problem: Problem) -> None:
        """Note a finished problem; every `PROBLEMS_IN_SHARD` of them become a shard.

        Raises ConfigError where it is there already with labels of other checks.
        """
        digest = problem.digest()
        if problem.id not in self.exported:
            self.exported[problem.id] = digest
            self.waiting.append(problem)
        elif self.exported[problem.id] != digest:
            raise ConfigError(
                f"{self.folder} holds labels of {problem.id} that came of other checks than it has now; "
                "label into another folder"
            )
        await self.flush(PROBLEMS_IN_SHARD)

    async def flush(self, least: int) -> None:
        """Write what waits, a shard at a time, for as long as `least` problems wait."""
        async with self.writing:
            while len(self.waiting) >= least:
                batch, self.waiting = self.waiting[:PROBLEMS_IN_SHARD], self.waiting[PROBLEMS_IN_SHARD:]
                await anyio.to_thread.run_sync(export, self.run, self.folder, batch, self.purpose)


async def label(
    run: Run, problems: Sequence[Problem], parts: Parts, folder: Path, *,
    purpose: Purpose = "training", guards: Sequence[Problem] = (), among: Sequence[Problem] = (),
    limits: Concurrency | None = None, progress: Progress | None = None,
) -> Outcome:
    """Label every candidate of `problems` and write the shards to `folder`. Killed, it goes on where it was.

    Families of near-duplicates are found `among` the problems that these were chosen from, by default these, so that
    they are the same however many are labelled at once. Near-duplicates of one of `guards` (those kept for measuring)
    are left out, by name. Raises RunStopped, costfield.errors.FingerprintMismatch, and ConfigError, also where the
    folder holds problems that are not `among` them: a family that spans both would go unseen.
    """
    shards = Shards.open(run, folder, purpose)
    among = among or problems
    if strangers := sorted(shards.exported.keys() - {problem.id for problem in among}):
        raise ConfigError(
            f"{folder} holds {len(strangers)} problems, {strangers[0]} among them, that are in none of the files named "
            "now, so near-duplicates of them would go unseen; name their files too (what is labelled already is not "
            "labelled again), or label into another folder"
        )
    kept, left_out = apart(among, guards, shards.families)
    asked = {problem.id for problem in problems}
    kept, left_out = tuple(p for p in kept if p.id in asked), tuple(one for one in left_out if one.id in asked)
    folder.mkdir(parents=True, exist_ok=True)
    noted = {"left_out": {one.id: one.reason for one in left_out}}
    replace_file(folder / GROUPS, (json.dumps(noted, indent=2) + "\n").encode())
    progress = progress or Progress(total=len(problems))
    progress.total = len(kept)
    try:
        outcome = await Stages(run, parts, limits or Concurrency()).all(kept, progress, shards.add)
    finally:
        with anyio.CancelScope(shield=True):
            await shards.flush(1)
    return replace(outcome, excluded=(*left_out, *outcome.excluded))


def apart(
    problems: Sequence[Problem], guards: Sequence[Problem], labelled: Mapping[str, str] | None = None
) -> tuple[tuple[Problem, ...], tuple[Excluded, ...]]:
    """The problems with their families found, without those that share a family with one of `guards`.

    `labelled` are problems that have labels, with the families that these name. Their relatives join those families;
    a problem that would join two of them comes too late, and is left out.
    """
    labelled = labelled or {}
    families = grouped((*guards, *problems))
    guarded = {problem.group: problem.id for problem in reversed(families[: len(guards)])}
    named: dict[str, set[str]] = defaultdict(set)
    for problem in families:
        if problem.id in labelled:
            named[problem.group].add(labelled[problem.id])
    kept, left_out = [], []
    for problem in families[len(guards) :]:
        names = sorted(named[problem.group])
        if problem.group in guarded:
            reason = f"a near-duplicate of {guarded[problem.group]}, which is kept for measuring"
            left_out.append(Excluded(id=problem.id, reason=reason))
        elif problem.id in labelled:
            kept.append(replace(problem, near_duplicate_group=labelled[problem.id]))
        elif len(names) > 1:
            reason = f"a near-duplicate in the families of {names[0]} and {names[1]}, which are labelled as two"
            left_out.append(Excluded(id=problem.id, reason=reason))
        else:
            kept.append(replace(problem, near_duplicate_group=names[0] if names else problem.group))
    return tuple(kept), tuple(left_out)


def export(run: Run, folder: Path, problems: Sequence[Problem], purpose: Purpose = "training") -> None:
    """Append one shard with every candidate of `problems`, and the file of their programs beside it.

    The programs go first: without the manifest's entry, which comes last, neither file counts.
    """
    number = len(read_manifest(folder).shards) if (folder / MANIFEST).exists() else 0
    rows = [row for problem in problems for row in _rows(run, problem)]
    usable = [row for row in rows if not row["unfingerprinted"]]
    if not usable:
        return
    write_rows(programs_file(folder, number), rows, SCHEMA, about={"shard": number})
    append_shard(
        folder,
        Examples.of(
            fingerprint_id=usable[0]["fingerprint_id"],
            embeddings=np.stack([row["embedding"] for row in usable]),
            scalars=np.stack([row["scalars"] for row in usable]),
            scalar_names=usable[0]["scalar_names"],
            passed=[row["outcome"] == Verdict.PASS for row in usable],
            problem=[row["problem"] for row in usable],
            group=[row["group"] for row in usable],
            index=[row["index"] for row in usable],
            fault=[row["outcome"] for row in usable],
        ),
        purpose=purpose,
    )


def _rows(run: Run, problem: Problem) -> list[dict[str, Any]]:
    """One row for each candidate: `SCHEMA`'s columns, and what goes into the shard."""
    candidates, _ = recorded(run, problem)
    grades = read_grades(run, problem)
    made, fingerprint_id, names = read_fingerprints(run, problem)
    rows = []
    for candidate in candidates:
        grade, one = grades[candidate.digest], made[candidate.digest]
        rows.append(
            {
                "problem": problem.id, "problem_digest": problem.digest(), "group": problem.group,
                "digest": candidate.digest, "index": candidate.index, "copies": candidate.copies,
                "source": candidate.program.source, "outcome": grade.outcome.value, "integrity": grade.integrity,
                "isolation": grade.isolation, "failed": grade.failed, "message": grade.message,
                "unfingerprinted": one.problem, "embedding": one.embedding, "scalars": one.scalars,
                "fingerprint_id": fingerprint_id, "scalar_names": names,
            }
        )
    return rows


def programs_file(folder: Path, number: int) -> Path:
    """The programs, as text, of the candidates in one shard."""
    return folder / f"programs-{number:05d}.parquet"
