"""`atlas eval`: how often is the cheapest candidate right?"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
import typer

from atlas import cli_policy, cli_reports, cli_samples, console, settings, wiring
from atlas import cli_shared as shared
from atlas.evals import commands
from atlas.evals.results import Results, table
from atlas.evals.resume import finished, stored_plan

eval_app = typer.Typer(no_args_is_help=True, help="Measure how often the cheapest candidate is right.")
eval_app.command("compare")(cli_reports.eval_compare)
eval_app.command("report")(cli_reports.eval_report)
eval_app.command("view")(cli_reports.eval_view)
eval_app.command("grade")(cli_samples.eval_grade)
eval_app.command("rank")(cli_samples.eval_rank)
eval_app.command("export")(cli_samples.eval_export)
eval_app.command("policy")(cli_policy.eval_policy)
eval_app.command("loop")(cli_policy.eval_loop)


@eval_app.command("run")
@console.guarded
def eval_run(
    problems: Annotated[list[str], typer.Argument(help="Data sets: humaneval, mbpp-test, or a tasks.jsonl.")],
    folder: Annotated[Path | None, typer.Option("--run", help="Folder of the run; naming it again goes on.")] = None,
    data: shared.Data = None,
    limit: shared.Limit = None,
    k: shared.Each = 4,
    greedy_first: Annotated[
        bool, typer.Option("--greedy-first", help="Draw each problem's first completion at temperature 0.")
    ] = False,
    temperature: shared.Temperature = 0.8,
    as_json: shared.Json = False,
) -> None:
    """Grade every candidate, and compare on that same pool who chooses best: the Cost Field or a baseline."""
    config = settings.load()
    folder = folder or Path("runs") / f"{'-'.join(Path(p).stem for p in problems)}-k{k}"
    plan = replace(shared.plan(config, problems, folder, data, limit, k, temperature), greedy_first=greedy_first)
    _go(config, plan, as_json)


@eval_app.command("resume")
@console.guarded
def eval_resume(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that `atlas eval run` began.")],
    as_json: shared.Json = False,
) -> None:
    """Do what is missing of a run, as it was begun. A finished run is left as it is."""
    config = settings.load()
    plan = stored_plan(folder, cache=config.cache, limits=shared.limits(config))
    done = finished(plan)
    if done is None:
        _go(config, plan, as_json)
        return
    console.say(f"{folder} is finished: nothing was missing")
    _show(done, as_json)


def _go(config: settings.Settings, plan: commands.Plan, as_json: bool) -> None:
    """Run the plan, or what is missing of it, and show what came of it."""

    async def work() -> Results:
        async with shared.parts(config) as (llm, fingerprinter, sandbox):
            field = None
            chosen, why = wiring.choose_ranker(config, fingerprinter)
            console.say(f"{chosen} stands for the service's choice: {why}")
            if chosen == "cost-field":
                field = wiring.open_field(config.cost_field, fingerprinter)
            asked = replace(plan, leader=chosen)
            return await commands.run_eval(asked, llm, fingerprinter, sandbox, field, progress_to=sys.stderr)

    _show(anyio.run(work), as_json)


def _show(found: Results, as_json: bool) -> None:
    console.say(table(found))
    if as_json:
        console.put(found.model_dump(mode="json"))
