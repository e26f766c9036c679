"""A graded pool: every candidate of every problem with its verdict, read back from a run's files as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atlas.evals.generate import recorded
from atlas.evals.grade import Grade, read_grades
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from atlas.types import Candidate, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """One problem of a pool: its candidates, one grade each, and what they cost to generate."""

    problem: Problem
    candidates: tuple[Candidate, ...]
    grades: tuple[Grade, ...]
    usage: Usage

    @property
    def samples_right(self) -> int:
        """How many completions held a right program; copies count."""
        return sum(c.copies for c, g in zip(self.candidates, self.grades, strict=True) if g.passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The problems of a run that are wholly graded, in the data set's order."""

    entries: tuple[Pooled, ...]
    k: int

    @classmethod
    def read(cls, run: Run, problems: Sequence[Problem]) -> Pool:
        """Raises ConfigError where completions answer another prompt; KeyError where a candidate has no grade."""
        entries = []
        for problem in problems:
            candidates, usage = recorded(run, problem)
            grades = read_grades(run, problem)
            entries.append(
                Pooled(
                    problem=problem, candidates=tuple(candidates), usage=usage,
                    grades=tuple(grades[candidate.digest] for candidate in candidates),
                )
            )
        return cls(entries=tuple(entries), k=run.config.k)

    @property
    def problem(self) -> npt.NDArray[np.int64]:
        """(n,) position of each candidate's problem among `entries`."""
        return np.repeat(np.arange(len(self.entries)), [len(e.candidates) for e in self.entries])

    @property
    def passed(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each candidate passed every check."""
        return np.array([grade.passed for entry in self.entries for grade in entry.grades], dtype=np.bool_)
