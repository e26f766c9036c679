"""Recorded pools for `atlas.evals.policy`: from a run's folder, or from a folder of labelled shards.

A field must not be asked about problems that it was trained on. Where it was, each problem is ranked by networks of the
same recipe that were fitted on the other folds; a run's folder of such problems is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from atlas import extract
from atlas.errors import ConfigError
from atlas.evals.fingerprints import read_fingerprints
from atlas.evals.parts import read_rows
from atlas.evals.pool import Pool, Pooled
from atlas.evals.problems import Problem
from atlas.evals.replayed import Recorded, Remembering, SubsetFingerprints
from atlas.evals.run import Run
from atlas.protocols import Fingerprint
from atlas.rank import CostFieldRanker
from atlas.recording import read_completions
from atlas.types import Completion, Task
from costfield.data import Examples, kfold
from costfield.field import CostField
from costfield.shards import load_examples
from costfield.siblings import Siblings
from costfield.train import fit, select_columns
from sandbox.types import Outcome


def run_pool(run: Run, problems: Sequence[Problem], field: CostField) -> list[Recorded]:
    """The graded problems of a run. Raises ConfigError where the field was trained on one of them."""
    if seen := sorted({problem.id for problem in problems} & set(field.card.data.problems)):
        raise ConfigError(f"the Cost Field was trained on {seen[0]}: compare policies on problems it has not seen")
    graded = [problem for problem in problems if run.path("grades", problem).exists()]
    return [_of_run(run, entry, field) for entry in Pool.read(run, graded).entries if entry.candidates]


def _of_run(run: Run, entry: Pooled, field: CostField) -> Recorded:
    completions, _ = read_completions(run.path("completions", entry.problem))
    known, id_, names = read_fingerprints(run, entry.problem)
    visible = len(entry.problem.task.checks)
    ranker = CostFieldRanker.open(SubsetFingerprints(id=id_, scalar_names=names, known=known), field)
    lengths = [len(one.logprobs or ()) for one in completions]
    paid = entry.usage.completion_tokens
    share = paid // max(len(completions), 1)  # where the server told no tokens apart
    return Recorded(
        task=entry.problem.task, completions=tuple(completions), prompt_tokens=entry.usage.prompt_tokens,
        tokens=tuple(lengths if all(lengths) else [share] * len(completions)), ranker=Remembering(ranker=ranker),
        passed={grade.digest: grade.passed for grade in entry.grades},
        shown={g.digest: g.passed or (g.failed is not None and g.failed >= visible) for g in entry.grades},
    )


async def siblings(pool: Sequence[Recorded], field: CostField) -> Siblings:
    """How siblings vary, for a field whose card does not say, from the problems that it was trained on, out of fold.

    Raises ConfigError for a pool of other problems: what is measured there must not be learned there.
    """
    if {one.task.id for one in pool} - set(field.card.data.problems):
        raise ConfigError("this Cost Field does not say how siblings vary; train it again with this version")
    rows = []
    for number, one in enumerate(pool):
        for ranked in await one.ranker.rank(one.task, extract.candidates(one.task, one.completions)):
            if ranked.p_pass is not None:
                rows.append((ranked.p_pass, one.passed[ranked.candidate.digest], number))
    p_pass, passed, problem = zip(*rows, strict=True)
    return Siblings.fit(p_pass, passed, problem)


def labelled_pool(folder: Path, field: CostField) -> list[Recorded]:
    """Every problem of labelled shards. They keep no prompts and no visible checks, and of a completion's tokens only
    how many lie in its code; of equal programs they know the first position, so copies fill the gaps in order.

    Raises costfield.errors.CostFieldError where the shards cannot be read, or hold other fingerprints than the field's;
    ConfigError where they lack their programs.
    """
    examples = load_examples(folder, fingerprint_id=field.fingerprint_id)
    programs: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("programs-*.parquet")):
        for row in read_rows(path)[0]:
            programs.setdefault(row["problem"], []).append(row)
    if lacking := sorted(set(examples.problem.tolist()) - programs.keys()):
        raise ConfigError(f"{folder} has no programs of {lacking[0]}: restore its programs-*.parquet")
    recorded = []
    for fitted, rows in _unseen(examples, field):
        held_out = examples.take(rows)
        for problem in sorted(set(held_out.problem.tolist())):
            own = held_out.take((held_out.problem == problem).nonzero()[0])
            recorded.append(_of_shards(programs[problem], own, fitted))
    return recorded


def _unseen(examples: Examples, field: CostField) -> Iterator[tuple[CostField, Any]]:
    """Fields with the rows that they may be asked about, each row once."""
    card = field.card
    if not set(examples.problem.tolist()) & set(card.data.problems):
        yield field, range(len(examples))
        return
    chosen, config = select_columns(examples, card.config), card.config
    for fold, (training, held_out) in enumerate(kfold(chosen, config.folds, config.seed)):
        ensemble = fit(chosen.take(training), config, config.seed + 10_000 * (fold + 1))
        yield CostField(ensemble=ensemble, card=card), held_out


def _of_shards(programs: Sequence[dict[str, Any]], rows: Examples, field: CostField) -> Recorded:
    assert rows.index is not None  # `atlas label` always writes it
    known, lengths = {}, {}
    total, average = rows.column("logprob_sum"), rows.column("logprob_mean")
    by_index = {row["index"]: row for row in programs}
    for i, index in enumerate(rows.index.tolist()):
        row = by_index[index]
        known[row["digest"]] = Fingerprint(embedding=rows.embeddings[i], scalars=rows.scalars[i])
        lengths[row["digest"]] = round(float(total[i] / average[i])) if average[i] else 0
    for row in programs:
        missing = Fingerprint(embedding=rows.embeddings[0][:0], scalars=rows.scalars[0], problem=row["unfingerprinted"])
        known.setdefault(row["digest"], missing)
    order = _positions(programs)
    names = SubsetFingerprints(id=rows.fingerprint_id, scalar_names=rows.scalar_names, known=known)
    passed = {row["digest"]: row["outcome"] == Outcome.PASS for row in programs}
    return Recorded(
        task=Task(id=programs[0]["problem"], prompt=programs[0]["problem"]), prompt_tokens=0,
        completions=tuple(
            Completion(text=f"```python\n{row['source']}```\n" if row else "", finish_reason="stop") for row in order
        ),
        tokens=tuple(lengths.get(row["digest"], 0) if row else 0 for row in order),
        passed=passed, shown=passed, ranker=Remembering(ranker=CostFieldRanker.open(names, field)),
    )


def _positions(programs: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """The completions in order: each program at its own position, further copies in the gaps, None for no program."""
    size = max(max(row["index"] for row in programs) + 1, sum(row["copies"] for row in programs))
    order: list[dict[str, Any] | None] = [None] * size
    for row in programs:
        order[row["index"]] = row
    copies = [row for row in programs for _ in range(row["copies"] - 1)]
    for position in [i for i, row in enumerate(order) if row is None]:
        order[position] = copies.pop(0) if copies else None
    return order
