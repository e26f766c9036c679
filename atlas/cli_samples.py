"""`atlas eval grade`, `rank` and `export`: files of samples, as EvalPlus writes and reads them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import typer

from atlas import cli_shared as shared
from atlas import console, models, settings, wiring
from atlas.errors import ConfigError
from atlas.evals import datasets
from atlas.evals.alone import AsksAgain
from atlas.evals.book import Book
from atlas.evals.datasets.files import cache_folder
from atlas.evals.graded import Graded, Grading, summary
from atlas.evals.problems import Dataset, Problem
from atlas.evals.progress import Progress
from atlas.evals.ranked import RankedSamples, rank_samples, ranking
from atlas.evals.references import References
from atlas.evals.resume import stored_plan
from atlas.evals.run import Run
from atlas.evals.samples import read_samples, samples_of, write_samples
from atlas.fingerprint import ModelFingerprinter
from atlas.protocols import LLM
from atlas.rank import baseline

File = Annotated[Path, typer.Argument(help="JSON lines with task_id, and solution or completion, as EvalPlus has.")]
Problems = Annotated[list[str], typer.Option(help="Data set that the samples answer: humaneval, mbpp+, … Repeatable.")]
Reuse = Annotated[
    int, typer.Option(min=1, help="Programs for each container; 1 where the samples are not all one person's.")
]


@console.guarded
def eval_grade(
    samples: File,
    problems: Problems,
    data: shared.Data = None,
    out: Annotated[Path | None, typer.Option(help="Verdicts, a line a sample; naming it again goes on.")] = None,
    reuse: Reuse = shared.REUSE,
    as_json: shared.Json = False,
) -> None:
    """Grade programs from anywhere. Exit code 5 where the sandbox left one without a verdict."""
    config = settings.load()
    loaded = _load(config, problems, data)
    chosen = [problem for dataset in loaded for problem in dataset.problems]
    found = read_samples(samples, chosen)
    book = Book.open(out)
    sandbox_settings = config.sandbox.model_copy(update={"reuse": reuse})

    async def work() -> Graded:
        async with wiring.open_sandbox(config.model_copy(update={"sandbox": sandbox_settings})) as sandbox:
            grading = Grading(
                references=References(
                    sandbox=AsksAgain(sandbox=sandbox), folder=cache_folder(config.cache) / "references"
                ),
                workers=config.sandbox.concurrency, book=book, progress=Progress(total=0),
            )
            with grading.progress.shown(sys.stderr):
                return await grading.run(found, chosen)

    graded = anyio.run(work)
    console.say(summary(graded))
    if as_json:
        about = {"datasets": {one.name: one.sha256 for one in loaded}, "reuse": reuse}
        unusable = {one.id: one.reason for dataset in loaded for one in dataset.excluded}
        told = graded.model_dump(mode="json")
        console.put(told | about | {"excluded": unusable | told["excluded"]})
    raise typer.Exit(console.SANDBOX if graded.infrastructure else 0)


@console.guarded
def eval_rank(
    samples: File, problems: Problems, data: shared.Data = None, as_json: shared.Json = False
) -> None:
    """Say which program of each problem would be run first. The configured model reads them, where there is one."""
    config = settings.load()
    chosen = [problem for dataset in _load(config, problems, data) for problem in dataset.problems]
    found = read_samples(samples, chosen)

    async def work() -> RankedSamples:
        async with _reader(config) as (llm, why):
            if llm is None:
                return await rank_samples(found, baseline("agreement"), because=why)
            fingerprinter = ModelFingerprinter.best(llm)
            name, reason = wiring.choose_ranker(config, fingerprinter)
            if name == "log-probability" and not llm.capabilities.states:
                name, reason = "agreement", "the model's server cannot read programs that it did not write"
            chosen_ranker = wiring.open_ranker(config, fingerprinter) if name == "cost-field" else baseline(name)
            return await rank_samples(found, chosen_ranker, because=reason, llm=llm)

    ranked = anyio.run(work)
    console.say(ranking(ranked))
    if as_json:
        console.put(ranked.model_dump(mode="json"))


@console.guarded
def eval_export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option(help="File to write; it must not be there yet.")] = Path("samples.jsonl"),
    as_json: shared.Json = False,
) -> None:
    """Write a run's programs as samples that EvalPlus reads: every completion, in order."""
    config = settings.load()
    plan = stored_plan(run, cache=config.cache)
    problems: tuple[Problem, ...] = plan.problems(plan.load())
    opened = Run.read(run)
    done = [problem for problem in problems if opened.path("completions", problem).exists()]
    if not done:
        raise ConfigError(f"{run} has no completions yet")
    count = write_samples(out, samples_of(opened, done))
    console.say(f"{count} samples of {len(done)} of {len(problems)} problems are in {out}")
    if as_json:
        console.put({"samples": count, "tasks": len(done), "missing": len(problems) - len(done), "file": str(out)})


def _load(config: settings.Settings, names: list[str], data: list[Path] | None) -> list[Dataset]:
    folders = (*(data or ()), *config.data_dir)
    with console.Downloading() as report:
        return [datasets.load(name, folders=folders, cache=config.cache, report=report) for name in names]


@asynccontextmanager
async def _reader(config: settings.Settings) -> AsyncIterator[tuple[LLM | None, str]]:
    """The configured model; none, and why, where nothing is configured and the default model was never fetched."""
    if config.llm.base_url is None and config.llm.model is None:
        try:
            models.locate(models.DEFAULT, cache_dir=config.cache)
        except ConfigError as error:
            yield None, f"no model reads the programs, so only what needs none can rank them ({error})"
            return
    async with wiring.open_llm(config) as llm:
        yield llm, ""
