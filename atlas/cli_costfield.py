"""`atlas label` and `atlas costfield`: labelled candidates, and the fields trained from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer
from pydantic import ValidationError

from atlas import cli_shared as shared
from atlas import console, settings
from atlas.evals import commands
from atlas.evals.stages import Outcome
from costfield.card import Card
from costfield.config import TrainConfig
from costfield.field import CostField, read_card
from costfield.report import card_markdown
from costfield.shards import load_examples
from costfield.train import train as train_field

costfield_app = typer.Typer(no_args_is_help=True, help="Train the Cost Field from labelled candidates; examine one.")


@console.guarded
def label_command(
    problems: Annotated[list[str], typer.Argument(help="Data sets: mbpp-train, leetcode, or a tasks.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards of labelled candidates.")],
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
    plan = shared.plan(config, problems, run or out.with_name(out.name + ".run"), data, limit, k, temperature)

    async def work() -> Outcome:
        async with shared.parts(config) as (llm, fingerprinter, sandbox):
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
    as_json: shared.Json = False,
) -> None:
    """Train a Cost Field, measure it on problems it has not seen, and refuse to save one that fails a gate."""
    try:
        chosen = TrainConfig.model_validate_json(recipe.read_bytes()) if recipe else TrainConfig()
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(map(str, error["loc"])) or "it"
        raise typer.BadParameter(f"{recipe} is no recipe: {where}: {error['msg']}") from exc
    field = train_field(load_examples(data, training=True), chosen.model_copy(update={"seed": seed}))
    field.save(out)
    _show(field.card, as_json=as_json)
    if not field.card.recommended:
        console.say("this field is not shown to beat every baseline: see its card before making it the default")


@costfield_app.command("show")
@console.guarded
def costfield_show(path: Annotated[Path | None, typer.Argument()] = None, as_json: shared.Json = False) -> None:
    """Print the card of a Cost Field (by default, the configured one)."""
    _show(read_card(path or settings.load().cost_field), as_json=as_json)


@costfield_app.command("verify")
@console.guarded
def costfield_verify(path: Annotated[Path | None, typer.Argument()] = None, as_json: shared.Json = False) -> None:
    """Load a Cost Field and prove its weights' hash, its shapes and that it still gives the costs it was saved with."""
    folder = path or settings.load().cost_field
    card = read_card(folder)
    CostField.load(folder, fingerprint_id=card.fingerprint_id)
    if as_json:
        console.put({"ok": True, "weights_sha256": card.weights_sha256, "fingerprint_id": card.fingerprint_id})
    console.say(f"{folder}: sound, for fingerprints {card.fingerprint_id}")


def _show(card: Card, *, as_json: bool) -> None:
    if as_json:
        console.put(card.model_dump(mode="json"))
    else:
        console.write(card_markdown(card))
