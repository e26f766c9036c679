"""The commands of the laboratory: label candidates, train and examine Cost Fields, run evaluations."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import typer
from pydantic import ValidationError

from atlas import console, settings, wiring
from atlas.evals import commands
from atlas.evals.results import Results, table
from atlas.evals.stages import Concurrency, Outcome
from atlas.fingerprint import ModelFingerprinter
from atlas.protocols import LLM
from costfield.card import Card
from costfield.config import TrainConfig
from costfield.field import CostField, read_card
from costfield.report import card_markdown
from costfield.shards import load_examples
from costfield.train import train as train_field
from sandbox.types import Sandbox

costfield_app = typer.Typer(no_args_is_help=True, help="Train the Cost Field from labelled candidates; examine one.")
eval_app = typer.Typer(no_args_is_help=True, help="Measure how often the cheapest candidate is right.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, as the last line of stdout.")]
Data = Annotated[list[Path] | None, typer.Option(help="Folder in which data sets' files may lie. May be repeated.")]
Limit = Annotated[int | None, typer.Option(help="Only the first so many problems.")]
Each = Annotated[int, typer.Option("-k", help="Completions for each problem.")]


def _plan(
    config: settings.Settings, problems: list[str], folder: Path, data: list[Path] | None, limit: int | None, k: int,
    temperature: float,
) -> commands.Plan:
    return commands.Plan(
        datasets=tuple(problems), folder=folder, data=(*(data or ()), *config.data_dir), cache=config.cache,
        limit=limit, k=k, temperature=temperature, max_tokens=config.llm.max_tokens,
        limits=Concurrency(sandbox=config.sandbox.concurrency),
    )


@asynccontextmanager
async def _parts(config: settings.Settings) -> AsyncIterator[tuple[LLM, ModelFingerprinter, Sandbox]]:
    async with wiring.open_llm(config) as llm, wiring.open_sandbox(config) as sandbox:
        yield llm, ModelFingerprinter.best(llm), sandbox


@console.guarded
def label_command(
    problems: Annotated[list[str], typer.Argument(help="Data sets: mbpp-train, leetcode, or a tasks.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards of labelled candidates.")],
    run: Annotated[Path | None, typer.Option(help="Folder for the work in progress; default OUT.run.")] = None,
    data: Data = None,
    limit: Limit = None,
    k: Each = 8,
    temperature: Annotated[float, typer.Option(help="Of sampling.")] = 0.8,
    as_json: Json = False,
) -> None:
    """Generate candidates for problems, run every one against all its checks, and keep fingerprints and verdicts.

    Killed at any point, the same command goes on with what is missing.
    """
    config = settings.load()
    plan = _plan(config, problems, run or out.with_name(out.name + ".run"), data, limit, k, temperature)

    async def work() -> Outcome:
        async with _parts(config) as (llm, fingerprinter, sandbox):
            return await commands.run_label(plan, llm, fingerprinter, sandbox, out, progress_to=sys.stderr)

    outcome = anyio.run(work)
    for one in outcome.excluded:
        console.say(f"left out {one.id}: {one.reason}")
    for trouble in outcome.troubles:
        console.say(f"not labelled, run again: {trouble}")
    found = {"problems": len(outcome.done), "excluded": len(outcome.excluded), "troubles": len(outcome.troubles)}
    if as_json:
        console.put(found | {"out": str(out)})
    console.say(f"{len(outcome.done)} problems labelled in {out}")


@costfield_app.command("train")
@console.guarded
def costfield_train(
    data: Annotated[Path, typer.Argument(help="Folder of labelled shards, made by `atlas label`.")],
    out: Annotated[Path, typer.Option(help="Folder for the field.")],
    seed: Annotated[int, typer.Option(help="Of splits and initial weights.")] = 0,
    recipe: Annotated[Path | None, typer.Option(help="A TrainConfig as JSON; what it leaves out is default.")] = None,
    as_json: Json = False,
) -> None:
    """Train a Cost Field, measure it on problems it has not seen, and refuse to save one that fails a gate."""
    try:
        chosen = TrainConfig.model_validate_json(recipe.read_bytes()) if recipe else TrainConfig()
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(map(str, error["loc"])) or "it"
        raise typer.BadParameter(f"{recipe} is no recipe: {where}: {error['msg']}") from exc
    field = train_field(load_examples(data), chosen.model_copy(update={"seed": seed}))
    field.save(out)
    _show(field.card, as_json=as_json)
    if not field.card.recommended:
        console.say("this field is not shown to beat every baseline: see its card before making it the default")


@costfield_app.command("show")
@console.guarded
def costfield_show(path: Annotated[Path | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Print the card of a Cost Field (by default, the configured one)."""
    _show(read_card(path or settings.load().cost_field), as_json=as_json)


@costfield_app.command("verify")
@console.guarded
def costfield_verify(path: Annotated[Path | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """Load a Cost Field and prove its weights' hash, its shapes and that it still gives the costs it was saved with."""
    folder = path or settings.load().cost_field
    card = read_card(folder)
    CostField.load(folder, fingerprint_id=card.fingerprint_id)
    if as_json:
        console.put({"ok": True, "weights_sha256": card.weights_sha256, "fingerprint_id": card.fingerprint_id})
    console.say(f"{folder}: sound, for fingerprints {card.fingerprint_id}")


@eval_app.command("run")
@console.guarded
def eval_run(
    problems: Annotated[list[str], typer.Argument(help="Data sets: humaneval, mbpp-test, or a tasks.jsonl.")],
    folder: Annotated[Path | None, typer.Option("--run", help="Folder of the run; naming it again goes on.")] = None,
    data: Data = None,
    limit: Limit = None,
    k: Each = 4,
    temperature: Annotated[float, typer.Option(help="Of sampling.")] = 0.8,
    as_json: Json = False,
) -> None:
    """Grade every candidate, and compare on that same pool who chooses best: the Cost Field or a baseline."""
    config = settings.load()
    folder = folder or Path("runs") / f"{'-'.join(Path(p).stem for p in problems)}-k{k}"
    plan = _plan(config, problems, folder, data, limit, k, temperature)

    async def work() -> Results:
        async with _parts(config) as (llm, fingerprinter, sandbox):
            field = None
            chosen, why = wiring.choose_ranker(config, fingerprinter)
            console.say(f"{chosen} stands for the service's choice: {why}")
            if chosen == "cost-field":
                field = wiring.open_field(config.cost_field, fingerprinter)
            return await commands.run_eval(plan, llm, fingerprinter, sandbox, field, progress_to=sys.stderr)

    found = anyio.run(work)
    console.say(table(found))
    if as_json:
        console.put(found.model_dump(mode="json"))


def _show(card: Card, *, as_json: bool) -> None:
    if as_json:
        console.put(card.model_dump(mode="json"))
    else:
        console.write(card_markdown(card))
