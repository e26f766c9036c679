"""`atlas label`: run every candidate of some problems, and keep fingerprints and verdicts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from atlas import cli_shared as shared
from atlas import console, settings
from atlas.evals import commands
from atlas.evals.stages import Outcome


@console.guarded
def label_command(
    out: Annotated[Path, typer.Option(help="Folder for the shards of labelled candidates.")],
    problems: Annotated[list[str] | None, typer.Argument(help="As with --problems.")] = None,
    named: Annotated[
        list[str] | None,
        typer.Option("--problems", help="A tasks.jsonl, or a data set such as mbpp-train. May be repeated."),
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="For evaluation: training will refuse these problems.")] = False,
    guard: Annotated[
        list[str] | None, typer.Option(help="Problems kept for measuring: near-duplicates of them are left out.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder for the work in progress; default OUT.run.")] = None,
    data: shared.Data = None,
    limit: shared.Limit = None,
    k: shared.Each = 8,
    temperature: Annotated[float, typer.Option(help="Of sampling.")] = 0.8,
    as_json: shared.Json = False,
) -> None:
    """Generate candidates for problems, run every one against all its checks, and keep fingerprints and verdicts.

    Killed at any point, the same command goes on with what is missing.
    """
    config = settings.load()
    chosen = [*(problems or ()), *(named or ())]
    if not chosen:
        raise typer.BadParameter("name the problems: --problems mine.jsonl")
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
