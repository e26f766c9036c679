"""`atlas label` and `atlas costfield rename`: what fields are trained on, and what their last gate needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from atlas import cli_shared as shared
from atlas import console, settings, wiring
from atlas.evals import commands
from atlas.evals.progress import Progress
from atlas.evals.stages import Outcome
from atlas.evals.twins import make_twins
from atlas.fingerprint import ModelFingerprinter

Problems = Annotated[list[str] | None, typer.Argument(help="As with --problems.")]
Named = Annotated[
    list[str] | None,
    typer.Option("--problems", help="A tasks.jsonl, or a data set such as mbpp-train. May be repeated."),
]


@console.guarded
def label_command(
    out: Annotated[Path, typer.Option(help="Folder for the shards of labelled candidates.")],
    problems: Problems = None,
    named: Named = None,
    pool: Annotated[bool, typer.Option("--pool", help="For evaluation: training will refuse these problems.")] = False,
    guard: Annotated[
        list[str] | None, typer.Option(help="Problems kept for measuring: near-duplicates of them are left out.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder for the work in progress; default OUT.run.")] = None,
    data: shared.Data = None,
    limit: shared.Limit = None,
    k: shared.Each = 8,
    temperature: shared.Temperature = 0.8,
    as_json: shared.Json = False,
) -> None:
    """Generate candidates for problems, run every one against all its checks, and keep fingerprints and verdicts.

    Killed at any point, the same command goes on with what is missing.
    """
    config = settings.load()
    chosen = _named(problems, named)
    plan = shared.plan(config, chosen, run or out.with_name(out.name + ".run"), data, limit, k, temperature)

    async def work() -> Outcome:
        async with shared.parts(config) as (llm, fingerprinter, sandbox):
            return await commands.run_label(
                plan, llm, fingerprinter, sandbox, out, purpose="evaluation" if pool else "training", guards=guard,
                progress_to=sys.stderr,
            )

    outcome = anyio.run(work)
    for one in outcome.excluded:
        console.say(f"left out {one.id}: {one.reason}")
    for trouble in outcome.troubles:
        console.say(f"not labelled, run again: {trouble.id}: {trouble.message}")
    found = {"problems": len(outcome.done), "excluded": len(outcome.excluded), "troubles": len(outcome.troubles)}
    if as_json:
        console.put(found | {"out": str(out)})
    console.say(f"{len(outcome.done)} problems labelled in {out}")


@console.guarded
def rename_command(
    labelled: Annotated[Path, typer.Argument(help="Folder of labelled shards, made by `atlas label`.")],
    problems: Problems = None,
    named: Named = None,
    data: shared.Data = None,
    limit: Annotated[int, typer.Option(min=1, help="How many mixed problems.")] = 40,
    as_json: shared.Json = False,
) -> None:
    """Have the model read labelled programs once more with their variables renamed, to see that names do not matter.

    `atlas costfield train` then refuses a field whose choice gets worse by it. Takes the embedded engine, no sandbox.
    """
    config = settings.load()
    chosen = _named(problems, named)
    plan = shared.plan(config, chosen, labelled, data, None, 1, 0.0)
    wanted = plan.problems(plan.load())

    async def work() -> int:
        progress = Progress(total=limit)
        async with wiring.open_llm(config) as llm:
            with progress.shown(sys.stderr):
                return await make_twins(labelled, wanted, llm, ModelFingerprinter.best(llm), limit, progress)

    made = anyio.run(work)
    if as_json:
        console.put({"problems": made, "out": str(labelled)})
    console.say(f"{made} problems are there with their variables renamed")


def _named(problems: list[str] | None, named: list[str] | None) -> list[str]:
    chosen = [*(problems or ()), *(named or ())]
    if not chosen:
        raise typer.BadParameter("name the problems: --problems mine.jsonl")
    return chosen
