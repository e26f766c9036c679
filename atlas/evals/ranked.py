"""Ranking samples from elsewhere: which program of each problem would be run first, by every ranker that can say.

A Cost Field and log-probabilities need a model that reads the programs as if it had written them. Without one, the
rankers that look at the programs alone are left: agreement, first, shortest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from atlas.errors import ConfigError
from atlas.evals.problems import Problem
from atlas.evals.samples import Sample, Samples, published_id
from atlas.fingerprint import read_program
from atlas.protocols import LLM, Ranker
from atlas.rank import baseline
from atlas.types import Candidate, Completion, Ranked, Task
from sandbox.types import Frozen

WITHOUT_A_MODEL = ("agreement", "first", "shortest")


class RankedSample(Frozen):
    """A sample with its place, 1 for what would be run first, and the cost that each ranker gives it.

    Samples with equal programs share a place. `problem`: why the ranker that decides could not score it.
    """

    line: int
    place: int = Field(ge=1)
    costs: dict[str, float | None]
    p_pass: float | None
    problem: str = ""


class RankedSamples(Frozen):
    """Every sample of every problem, cheapest first by `ranker`. `because` says why it decides."""

    schema_version: Literal[1] = 1
    ranker: str
    because: str
    model: str
    """The model that read the programs; empty where none did."""
    rankers: tuple[str, ...]
    problems: dict[str, tuple[RankedSample, ...]]
    unknown: dict[str, int]
    samples_sha256: str


async def rank_samples(
    found: Samples, ranker: Ranker, *, because: str, llm: LLM | None = None
) -> RankedSamples:
    """Rank the samples of each problem by `ranker`, and by the rankers that need no model.

    `llm` reads the programs where it can; a program that does not fit it is unscored and stands last.
    Raises RankingError, ModelError.
    """
    rankers = {ranker.name: ranker} | {name: baseline(name) for name in WITHOUT_A_MODEL if name != ranker.name}
    problems = {}
    for samples in found.by_problem().values():
        problem = samples[0].problem
        groups = _groups(samples)
        candidates = await _candidates(problem, groups, llm)
        ranked = {name: await one.rank(problem.task, candidates) for name, one in rankers.items()}
        problems[published_id(problem.id)] = _placed(groups, ranked, ranker.name)
    return RankedSamples(
        ranker=ranker.name, because=because, model="" if llm is None else llm.capabilities.model,
        rankers=tuple(rankers), problems=problems, unknown=found.unknown, samples_sha256=found.sha256,
    )


def _groups(samples: Sequence[Sample]) -> dict[int, list[Sample]]:
    """Samples with equal programs together, by the position of the first of them."""
    groups: dict[str, list[tuple[int, Sample]]] = {}
    for position, sample in enumerate(samples):
        groups.setdefault(sample.program.source, []).append((position, sample))
    return {group[0][0]: [sample for _, sample in group] for group in groups.values()}


async def _candidates(problem: Problem, groups: Mapping[int, Sequence[Sample]], llm: LLM | None) -> list[Candidate]:
    made = [await _candidate(problem.task, group[0], index, llm) for index, group in groups.items()]
    return [replace(one, copies=len(groups[one.index])) for one in made]


async def _candidate(task: Task, sample: Sample, index: int, llm: LLM | None) -> Candidate:
    if llm is not None:
        try:
            return await read_program(llm, task, sample.program, index=index)
        except ConfigError:
            pass  # too long for the model: a candidate without states, of which the fingerprinter says so
    text = sample.program.source
    completion = Completion(text=text, finish_reason="stop")
    return Candidate(index=index, round=0, program=sample.program, completion=completion, span=(0, len(text)))


def _placed(
    groups: Mapping[int, Sequence[Sample]], ranked: Mapping[str, Sequence[Ranked]], decides: str
) -> tuple[RankedSample, ...]:
    costs = {name: {one.candidate.index: one.cost for one in ones} for name, ones in ranked.items()}
    return tuple(
        RankedSample(
            line=sample.line, place=place, p_pass=one.p_pass, problem=one.problem,
            costs={name: by_index[one.candidate.index] for name, by_index in costs.items()},
        )
        for place, one in enumerate(ranked[decides], start=1)
        for sample in groups[one.candidate.index]
    )


def ranking(found: RankedSamples) -> str:
    """The headline as text."""
    lines = [f"{found.ranker} decides: {found.because}"]
    unscored = sum(bool(one.problem) for ones in found.problems.values() for one in ones)
    several = sum(len({one.place for one in ones}) > 1 for ones in found.problems.values())
    lines.append(f"{len(found.problems)} problems, {several} of them with different programs to choose from")
    if unscored:
        lines.append(f"{unscored} samples could not be scored and stand last")
    if found.unknown:
        lines.append(f"{sum(found.unknown.values())} lines are of other tasks, such as {min(found.unknown)}")
    return "\n".join(lines)
