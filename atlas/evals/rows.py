"""What a run found, row by row, in two Parquet files: everything that its results, comparisons and report rest on.

    problems.parquet     one row for each problem that was graded: its prompt, its samples, the tokens they cost
    candidates.parquet   one row for each different program: its source, its verdict, and every ranker's cost of it

Neither the data set, the model nor the sandbox is needed to compute `results.json` from them again. Sources, prompts
and messages come from hostile programs and models: whoever shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from atlas.errors import ConfigError
from atlas.evals.parts import read_rows, write_rows
from atlas.evals.pool import Pool, Pooled
from atlas.evals.score import Scores

F64 = npt.NDArray[np.float64]
PROBLEMS, CANDIDATES = "problems.parquet", "candidates.parquet"
ORACLE, RANDOM = "oracle", "random"
_KINDS = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "int | None": pa.int64()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemRow:
    """One problem. `checks`: SHA-256 of what judged it. `samples`: completions; `right`: those with a right program.

    `note`: what of the problem could not be used, where something could not.
    """

    problem: str
    dataset: str
    group: str
    checks: str
    language: str
    prompt: str
    cpu_limit_s: float
    samples: int
    right: int
    prompt_tokens: int
    completion_tokens: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """One different program of a problem, with its verdict. `copies`: how many completions held it."""

    problem: str
    digest: str
    position: int
    copies: int
    source: str
    outcome: str
    passed: bool
    integrity: str
    isolation: str
    failed: int | None
    message: str
    wall_s: float
    cpu_s: float
    slowest_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A graded pool as rows; the candidates stand in the order of their problems.

    `scores`: by ranker, (n,) costs (+inf where unscored) and probabilities (NaN where it says none).
    """

    problems: tuple[ProblemRow, ...]
    candidates: tuple[CandidateRow, ...]
    scores: Mapping[str, Scores]

    @classmethod
    def of(cls, pool: Pool, scores: Sequence[Scores]) -> Self:
        """The rows of a pool and of what each ranker said of its candidates."""
        return cls(
            problems=tuple(_problem_row(entry, pool.k) for entry in pool.entries),
            candidates=tuple(row for entry in pool.entries for row in _candidate_rows(entry)),
            scores={one.name: one for one in scores},
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The rows of a finished run. Raises ConfigError where it has none."""
        problems, _ = read_rows(folder / PROBLEMS)
        rows, about = read_rows(folder / CANDIDATES)
        if not problems or not about:
            raise ConfigError(f"{folder} holds no {CANDIDATES}; `atlas eval resume` makes what is missing of a run")
        names = [one.name for one in fields(CandidateRow)]
        return cls(
            problems=tuple(ProblemRow(**row) for row in problems),
            candidates=tuple(CandidateRow(**{name: row[name] for name in names}) for row in rows),
            scores={name: _scores(rows, name) for name in about["rankers"]},
        )

    def write(self, folder: Path) -> None:
        """Write both files, each whole or not at all. A cost that is +inf is written as null, as is a NaN."""
        write_rows(folder / PROBLEMS, [_dict(row) for row in self.problems], _schema(ProblemRow), about={})
        columns = {f"{kind}.{name}": pa.float64() for name in self.scores for kind in ("cost", "p")}
        schema = pa.schema([*_schema(CandidateRow), *columns.items()])
        rows = [_dict(row) for row in self.candidates]
        for name, one in self.scores.items():
            for row, cost, p in zip(rows, one.cost, one.p_pass, strict=True):
                row |= {f"cost.{name}": _finite(cost), f"p.{name}": _finite(p)}
        write_rows(folder / CANDIDATES, rows, schema, about={"rankers": list(self.scores)})

    @property
    def problem(self) -> npt.NDArray[np.int64]:
        """(n,) position of each candidate's problem among `problems`."""
        at = {row.problem: i for i, row in enumerate(self.problems)}
        return np.array([at[row.problem] for row in self.candidates], dtype=np.int64)

    @property
    def passed(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each candidate passed every check."""
        return np.array([row.passed for row in self.candidates], dtype=np.bool_)

    @property
    def rankers(self) -> tuple[str, ...]:
        """Who can be asked for costs: those that scored, and random choice and the oracle, which need no file."""
        return (*self.scores, RANDOM, ORACLE)

    def cost(self, ranker: str) -> F64:
        """(n,) costs. Random choice is a tie of all, the oracle knows who passed. Raises ConfigError for others."""
        if ranker == RANDOM:
            return np.zeros(len(self.candidates))
        if ranker == ORACLE:
            return -self.passed.astype(np.float64)
        if ranker not in self.scores:
            raise ConfigError(f"the run knows no ranker {ranker!r}; it has {', '.join(self.rankers)}")
        return self.scores[ranker].cost


def _problem_row(entry: Pooled, samples: int) -> ProblemRow:
    problem, usage = entry.problem, entry.usage
    return ProblemRow(
        problem=problem.id, dataset=problem.dataset, group=problem.group, checks=problem.digest(),
        language=problem.task.language, prompt=problem.task.prompt, cpu_limit_s=problem.limits.cpu_s, samples=samples,
        right=entry.samples_right, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
        note=problem.note,
    )


def _candidate_rows(entry: Pooled) -> list[CandidateRow]:
    return [
        CandidateRow(
            problem=entry.problem.id, digest=grade.digest, position=candidate.index, copies=candidate.copies,
            source=candidate.program.source, outcome=grade.outcome.value, passed=grade.passed,
            integrity=grade.integrity, isolation=grade.isolation, failed=grade.failed, message=grade.message,
            wall_s=grade.wall_s, cpu_s=grade.cpu_s, slowest_cpu_s=grade.slowest_cpu_s,
        )
        for candidate, grade in zip(entry.candidates, entry.grades, strict=True)
    ]


def _schema(row: type[ProblemRow] | type[CandidateRow]) -> pa.Schema:
    return pa.schema([(one.name, _KINDS[str(one.type)]) for one in fields(row)])


def _dict(row: ProblemRow | CandidateRow) -> dict[str, Any]:
    return {one.name: getattr(row, one.name) for one in fields(row)}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _scores(rows: Sequence[Mapping[str, Any]], name: str) -> Scores:
    costs, said = [row[f"cost.{name}"] for row in rows], [row[f"p.{name}"] for row in rows]
    return Scores(
        name=name,
        cost=np.array([np.inf if one is None else one for one in costs], dtype=np.float64),
        p_pass=np.array([np.nan if one is None else one for one in said], dtype=np.float64),
    )
