"""`atlas costfield rename`: the model reads labelled candidates again, as they are and with other names in them.

What comes out (`costfield.renaming.Twins`) is for the gate of `atlas costfield train`. Both are read as given text, so
that they differ in their names only. It takes a model that can read a given answer; the sandbox is not needed, because
verdicts stay what they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np

from atlas.errors import ConfigError
from atlas.evals.label import programs_file
from atlas.evals.parts import read_rows
from atlas.evals.problems import Problem
from atlas.evals.progress import Progress
from atlas.evals.rename import renamed
from atlas.fingerprint import read_program
from atlas.protocols import LLM, Fingerprint, Fingerprinter
from atlas.types import Candidate, Program, Task
from costfield.data import Examples, mixed_problems
from costfield.renaming import Twins
from costfield.shards import load_examples, read_manifest
from sandbox.types import Outcome as Verdict

Row = Mapping[str, Any]


async def make_twins(
    data: Path, problems: Sequence[Problem], llm: LLM, fingerprinter: Fingerprinter, limit: int,
    progress: Progress | None = None,
) -> int:
    """Make the twins of `limit` mixed problems of the labelled folder `data`; those that are there are kept.

    Returns how many there are then. Raises ConfigError where the model cannot read a given answer, or none of the mixed
    problems is among `problems`; FingerprintMismatch where the labels are of another kind; ModelError.
    """
    if not llm.capabilities.states:
        raise ConfigError(
            "this model's server cannot read a given answer, so it cannot be tested whether the names of variables "
            "matter; the embedded engine can, and training works without"
        )
    examples = load_examples(data, fingerprint_id=fingerprinter.id, training=True)
    group_of = dict(zip(examples.problem.tolist(), examples.group.tolist(), strict=True))
    wanted = _chosen(examples, problems)[:limit]
    there = Twins.load(data)
    known = set(there.written.problem.tolist()) if there else set()
    rows = _programs(data, {problem.id for problem in wanted} - known)
    progress = progress or Progress(total=len(wanted))
    progress.total, progress.done = len(wanted), len(wanted) - len(rows)
    for problem in wanted:
        if own := rows.get(problem.id):
            twins = await _twins(problem.task, own, llm, fingerprinter, group_of[problem.id])
            await anyio.to_thread.run_sync(twins.save, data)
            progress.done += 1
            progress.candidates += len(own)
    return len(known | {problem.id for problem in wanted})


def _chosen(examples: Examples, problems: Sequence[Problem]) -> list[Problem]:
    """The mixed problems of the data whose tasks are at hand, in an order that has nothing to do with them."""
    mixed = set(mixed_problems(examples).tolist())
    chosen = [problem for problem in problems if problem.id in mixed]
    if not chosen:
        raise ConfigError("none of these problems is in the labelled data with right and wrong candidates")
    return sorted(chosen, key=lambda problem: hashlib.sha256(problem.id.encode()).digest())


def _programs(data: Path, ids: set[str]) -> dict[str, list[Row]]:
    """The labelled programs of these problems, without those that could not be read the first time."""
    found: dict[str, list[Row]] = {}
    for number in range(len(read_manifest(data).shards)):
        for row in read_rows(programs_file(data, number))[0]:
            if row["problem"] in ids and not row["unfingerprinted"]:
                found.setdefault(row["problem"], []).append(row)
    return found


async def _twins(task: Task, rows: Sequence[Row], llm: LLM, fingerprinter: Fingerprinter, group: str) -> Twins:
    sources = [row["source"] for row in rows]
    versions = (sources, [renamed(source) or source for source in sources])
    made = [await _fingerprints(task, rows, version, llm, fingerprinter) for version in versions]
    whole = [i for i in range(len(rows)) if not any(one[i].problem for one in made)]
    if not whole:
        raise ConfigError(f"no candidate of {task.id} can be read again: {made[0][0].problem or made[1][0].problem}")
    written, exchanged = (
        Examples.of(
            fingerprint_id=fingerprinter.id,
            embeddings=np.stack([one[i].embedding for i in whole]),
            scalars=np.stack([one[i].scalars for i in whole]),
            scalar_names=fingerprinter.scalar_names,
            passed=[rows[i]["outcome"] == Verdict.PASS for i in whole],
            problem=[task.id] * len(whole),
            group=[group] * len(whole),
            index=[rows[i]["index"] for i in whole],
        )
        for one in made
    )
    return Twins(written=written, exchanged=exchanged)


async def _fingerprints(
    task: Task, rows: Sequence[Row], sources: Sequence[str], llm: LLM, fingerprinter: Fingerprinter
) -> Sequence[Fingerprint]:
    """Of all siblings in one version, since what siblings have in common is in a fingerprint."""
    candidates: list[Candidate] = []
    for row, source in zip(rows, sources, strict=True):
        program = Program(source=source, language=task.language)
        read = await read_program(llm, task, program, index=row["index"])
        candidates.append(replace(read, copies=row["copies"]))
    return await fingerprinter.fingerprints(task, candidates)
