"""What `atlas label` and `atlas eval run` do, given the parts: load, open the run, show progress, go.

Everything that a command can be told is in `Plan`; the parts are made by the caller (`atlas.wiring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from atlas.errors import ConfigError
from atlas.evals import datasets
from atlas.evals.asked import Asked, quantisation
from atlas.evals.datasets.files import cache_folder
from atlas.evals.evaluate import RESULTS, run_pool
from atlas.evals.label import label
from atlas.evals.loop import run_loop
from atlas.evals.loop_results import LoopResults, read_loops
from atlas.evals.problems import Dataset, Excluded, Problem, select
from atlas.evals.progress import Progress
from atlas.evals.references import References
from atlas.evals.results import Results
from atlas.evals.run import Run, RunConfig
from atlas.evals.stages import Concurrency, Outcome, Parts
from atlas.prompts import PROMPT_VERSION
from atlas.protocols import LLM, Fingerprinter
from atlas.solver import Solver
from costfield.field import CostField
from costfield.shards import Purpose, replace_file
from sandbox.types import Sandbox

GUARDS = ("humaneval", "mbpp-test")
"""Kept for measuring: no Cost Field that ships is trained on them or on near-duplicates of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run on: data sets by name, path or URL; where their files may lie; how to sample.

    `folder` holds the run; naming it again goes on with it. `limit` takes the first problems of all, `ids` these ones.
    `leader` is the ranker that the others are compared with, by default the Cost Field or the first baseline.
    """

    datasets: tuple[str, ...]
    folder: Path
    data: tuple[Path, ...] = ()
    cache: Path | None = None
    sha256: str | None = None
    limit: int | None = None
    ids: tuple[str, ...] = ()
    k: int = 8
    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 768
    seed: int = 0
    greedy_first: bool = False
    limits: Concurrency = field(default_factory=Concurrency)
    leader: str = ""

    def load(self) -> tuple[Dataset, ...]:
        """The data sets. Raises ConfigError where one is missing or altered."""
        return tuple(
            datasets.load(name, folders=self.data, cache=self.cache, sha256=self.sha256) for name in self.datasets
        )

    def problems(self, loaded: Sequence[Dataset]) -> tuple[Problem, ...]:
        """The problems that are asked for. Raises ConfigError for an id that no data set has."""
        try:
            return select([p for dataset in loaded for p in dataset.problems], limit=self.limit, ids=self.ids)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def config(self, loaded: Sequence[Dataset], llm: LLM) -> RunConfig:
        """The run's configuration with this model. Raises ConfigError where it asks for what cannot be sampled."""
        can = llm.capabilities
        try:
            return RunConfig(
                datasets={dataset.name: dataset.sha256 for dataset in loaded}, model=can.model_sha256 or can.model,
                prompt_version=PROMPT_VERSION, k=self.k, temperature=self.temperature, top_p=self.top_p,
                max_tokens=self.max_tokens, seed=self.seed, greedy_first=self.greedy_first,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{first['loc'][0]}: {first['msg']}, it is {first['input']}") from error

    def asked(self, llm: LLM) -> Asked:
        """What a run of this plan is asked, with files named so that they are found from any folder."""
        can = llm.capabilities
        return Asked(
            datasets=tuple(_absolute(name) for name in self.datasets), data=tuple(str(p.absolute()) for p in self.data),
            sha256=self.sha256, limit=self.limit, ids=self.ids, model=can.model, quantisation=quantisation(can),
            engine=can.engine or "",
        )

    def parts(self, llm: LLM, fingerprinter: Fingerprinter, sandbox: Sandbox) -> Parts:
        references = References(sandbox=sandbox, folder=cache_folder(self.cache) / "references")
        return Parts(llm=llm, fingerprinter=fingerprinter, sandbox=sandbox, references=references)


async def run_eval(
    plan: Plan, llm: LLM, fingerprinter: Fingerprinter, sandbox: Sandbox, cost_field: CostField | None,
    *, progress_to: TextIO | None = None,
) -> Results:
    """`atlas eval run`: pool mode on the plan's problems. Naming the same folder again goes on, or measures again.

    Raises ConfigError, FingerprintMismatch, RunStopped.
    """
    loaded = plan.load()
    problems = plan.problems(loaded)
    progress = Progress(total=len(problems))
    with Run.open(plan.folder, plan.config(loaded, llm)) as run, progress.shown(progress_to):
        plan.asked(llm).write(run.folder)
        return await run_pool(
            run, problems, plan.parts(llm, fingerprinter, sandbox), cost_field, limits=plan.limits, progress=progress,
            excluded=_unusable(plan, loaded), leader=plan.leader,
        )


async def run_loops(
    plan: Plan, solver: Solver, fingerprinter: Fingerprinter, sandbox: Sandbox, *, progress_to: TextIO | None = None,
) -> LoopResults:
    """`atlas eval loop` in the folder of a run; its results stand in `results.json` too, where the pool's are.

    Raises ConfigError where the run was begun with another model, RunStopped.
    """
    loaded = plan.load()
    problems = plan.problems(loaded)
    progress = Progress(total=len(problems))
    with Run.open(plan.folder, plan.config(loaded, solver.llm)) as run, progress.shown(progress_to):
        found = await run_loop(run, problems, plan.parts(solver.llm, fingerprinter, sandbox), solver, progress)
        if (plan.folder / RESULTS).exists():
            joined = read_results(plan.folder).model_copy(update={"loops": read_loops(run)})
            replace_file(plan.folder / RESULTS, (joined.model_dump_json(indent=2) + "\n").encode())
        return found


async def run_label(
    plan: Plan, llm: LLM, fingerprinter: Fingerprinter, sandbox: Sandbox, out: Path,
    *, purpose: Purpose = "training", guards: Sequence[str] | None = None, progress_to: TextIO | None = None,
) -> Outcome:
    """`atlas label`: shards of labelled candidates in `out`, without near-duplicates of the data sets in `guards`.

    Without `guards` they are `GUARDS` where a published data set is labelled, and none for tasks of one's own. What is
    labelled for evaluation may be what is guarded: training refuses the shards.
    Raises ConfigError, RunStopped, costfield.errors.FingerprintMismatch.
    """
    loaded = plan.load()
    problems = plan.problems(loaded)
    if guards is None:
        guards = GUARDS if purpose == "training" and any(name in datasets.REGISTRY for name in plan.datasets) else ()
    kept = [p for name in guards for p in datasets.load(name, folders=plan.data, cache=plan.cache).problems]
    overlap = {p.id for p in kept} & {p.id for p in problems}
    if overlap:
        raise ConfigError(
            f"{len(overlap)} problems, {min(overlap)} among them, are kept for measuring and cannot be labelled for "
            "training; name other problems, or make an evaluation pool of them (--pool)"
        )
    progress = Progress(total=len(problems))
    with Run.open(plan.folder, plan.config(loaded, llm)) as run, progress.shown(progress_to):
        outcome = await label(
            run, problems, plan.parts(llm, fingerprinter, sandbox), out, purpose=purpose, guards=kept,
            among=[p for dataset in loaded for p in dataset.problems], limits=plan.limits, progress=progress,
        )
    return replace(outcome, excluded=(*_unusable(plan, loaded), *outcome.excluded))


def read_results(folder: Path) -> Results:
    """The results of a finished run. Raises ConfigError where there are none."""
    try:
        return Results.model_validate_json((folder / RESULTS).read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{folder} holds no {RESULTS}; run `atlas eval run` with this folder first") from None
    except ValidationError as error:
        raise ConfigError(
            f"{folder / RESULTS} cannot be read: {error.errors()[0]['msg']}; delete it, and `atlas eval resume` "
            "measures the run again"
        ) from error


def _absolute(name: str) -> str:
    """A data set's name, or the full path of a file."""
    return str(Path(name).absolute()) if name not in datasets.REGISTRY and Path(name).exists() else name


def _unusable(plan: Plan, loaded: Sequence[Dataset]) -> tuple[Excluded, ...]:
    """What the loaders could not use; nothing to report where only some problems were asked for."""
    return () if plan.limit is not None or plan.ids else tuple(e for dataset in loaded for e in dataset.excluded)
