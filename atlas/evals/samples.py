"""Files of samples as EvalPlus and human-eval write them: programs from anywhere, to be graded, ranked or handed on.

One JSON object a line: `task_id`, and `solution` (a whole program) or `completion` (what continues the published
prompt). Where both are there the solution counts, as it does for EvalPlus. What else a line holds is not looked at.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from atlas.errors import ConfigError
from atlas.evals.datasets.files import Content
from atlas.evals.generate import recorded
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from atlas.extract import candidates
from atlas.recording import read_completions
from atlas.types import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of a file: its number from 1, the problem that it answers, and its program, whole."""

    line: int
    problem: Problem
    program: Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What a file holds for some problems. `unknown` counts the lines of other tasks, by task id."""

    samples: tuple[Sample, ...]
    unknown: dict[str, int]
    sha256: str

    def by_problem(self) -> dict[str, list[Sample]]:
        """The samples of each problem, in the file's order."""
        found: dict[str, list[Sample]] = {}
        for sample in self.samples:
            found.setdefault(sample.problem.id, []).append(sample)
        return found


def published_id(id_: str) -> str:
    """What a problem is called where it was published: `Mbpp/2` for `mbpp+/2`, the bare name for data sets of names."""
    dataset, _, name = id_.partition("/")
    if dataset in ("mbpp", "mbpp+"):
        return f"Mbpp/{name}"
    return name if dataset in ("livecodebench", "leetcode") or dataset.startswith("multipl-e-") else id_


def read_samples(path: Path, problems: Sequence[Problem]) -> Samples:
    """The samples of `path` (JSON lines, gzip or not) that answer one of `problems`.

    Ids are the published ones or Atlas's own, in upper or lower case. Raises ConfigError naming the line.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    content = Content.of(path.read_bytes(), str(path))
    known = _by_name(problems)
    found, unknown = [], Counter[str]()
    for number, row in content.rows():
        id_ = content.field(number, row, "task_id", str)
        problem = known.get(id_.lower())
        if problem is None:
            unknown[id_] += 1
            continue
        whole = "solution" in row
        text: str = content.field(number, row, "solution" if whole else "completion", str)
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no character of a program
        try:
            program = Program(source=text, language=problem.task.language) if whole else problem.completed(text)
        except ValidationError as error:
            raise ConfigError(f"{path}, line {number}: {error.errors()[0]['msg']}") from error
        found.append(Sample(line=number, problem=problem, program=program))
    if not found:
        other = f"; its task ids are like {min(unknown)!r}" if unknown else ""
        raise ConfigError(f"{path} holds no sample of these problems{other}")
    return Samples(samples=tuple(found), unknown=dict(unknown), sha256=content.sha256)


def _by_name(problems: Sequence[Problem]) -> dict[str, Problem]:
    known = {published_id(problem.id).lower(): problem for problem in problems}
    if len(known) != len(problems):
        raise ConfigError("two problems have one published name; name fewer data sets")
    return known | {problem.id.lower(): problem for problem in problems}


def samples_of(run: Run, problems: Sequence[Problem]) -> Iterator[tuple[str, str]]:
    """(published id, program) of every completion of a run, in order; an answer without a program gives an empty one.

    Raises ConfigError where a problem's completions are missing, or answer another prompt.
    """
    for problem in problems:
        path = run.path("completions", problem)
        if not path.exists():
            raise ConfigError(f"{run.folder} has no completions of {problem.id} yet; go on with the run first")
        recorded(run, problem)
        for completion in read_completions(path)[0]:
            held = candidates(problem.task, [completion])
            yield published_id(problem.id), held[0].program.source if held else ""


def write_samples(path: Path, samples: Iterator[tuple[str, str]]) -> int:
    """Write samples as JSON lines in one step; returns how many. Raises ConfigError where the file is there already."""
    if path.exists():
        raise ConfigError(f"{path} is there already; name another file")
    lines = [json.dumps({"task_id": id_, "solution": source}) + "\n" for id_, source in samples]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text("".join(lines), encoding="utf-8")
    temporary.replace(path)
    return len(lines)
