"""`atlas costfield`: fields trained from labelled candidates, and what they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import ValidationError

from atlas import cli_shared as shared
from atlas import console, settings
from atlas.errors import ConfigError
from costfield import ablation_page
from costfield.ablate import LEAST_SEEDS, Ablations, ablate
from costfield.card import Card
from costfield.config import TrainConfig
from costfield.errors import CostFieldError
from costfield.field import CostField, read_card
from costfield.options import OPTIONS
from costfield.proof import Proof, prove
from costfield.quantise.convert import convert
from costfield.quantise.spec import CodecSpec, Name
from costfield.renaming import Twins
from costfield.report import card_markdown
from costfield.shards import MANIFEST, load_examples, read_manifest, replace_file
from costfield.train import train as train_field

REPOSITORY = Path(__file__).parents[1]
POOLS = REPOSITORY / "benchmarks" / "pools"
"""Labelled problems kept for measuring, in folders named after fields; they are in the repository only."""
LABELLED = REPOSITORY / "benchmarks" / "labelled"
"""What shipped fields were trained on, in folders named after them; in the repository only."""
PAGE = REPOSITORY / "docs" / "ablations.md"

costfield_app = typer.Typer(no_args_is_help=True, help="Train the Cost Field from labelled candidates; examine one.")


@costfield_app.command("train")
@console.guarded
def costfield_train(
    data: Annotated[Path, typer.Argument(help="Folder of labelled shards, made by `atlas label`.")],
    out: Annotated[Path, typer.Option(help="Folder for the field.")],
    seed: Annotated[int, typer.Option(help="Of splits and initial weights.")] = 0,
    recipe: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A TrainConfig as JSON; the rest is default.")
    ] = None,
    as_json: shared.Json = False,
) -> None:
    """Train a Cost Field, measure it on problems it has not seen, and refuse to save one that fails a gate."""
    try:
        chosen = TrainConfig.model_validate_json(recipe.read_bytes()) if recipe else TrainConfig()
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(map(str, error["loc"])) or "it"
        raise typer.BadParameter(f"{recipe} is no recipe: {where}: {error['msg']}") from exc
    field = train_field(load_examples(data, training=True), chosen.model_copy(update={"seed": seed}), Twins.load(data))
    field.save(out)
    _show(field.card, as_json=as_json)
    if not field.card.recommended:
        console.say("this field is not shown to beat every baseline: see its card before making it the default")


@costfield_app.command("pack")
@console.guarded
def costfield_pack(
    data: Annotated[Path, typer.Argument(help="Folder of labelled shards, made by `atlas label`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there yet.")],
    bits: Annotated[int, typer.Option(help="For each coordinate: 32, 16, 8, 4, 3, 2 or 1.")] = 4,
    codec: Annotated[str | None, typer.Option(help="float, scalar, eden, product or polar; default by bits.")] = None,
    dither: Annotated[bool, typer.Option("--dither", help="Scalar codec: an error independent of the data.")] = False,
    seed: Annotated[int, typer.Option(help="Of rotation, sketch and dither.")] = 0,
    as_json: shared.Json = False,
) -> None:
    """Copy labelled shards with their embeddings in few bits a coordinate; what reads shards reads them as before."""
    dims = read_manifest(data).dims
    try:
        spec = CodecSpec.of(bits, dims, name=cast(Name, codec) if codec else None, seed=seed, dither=dither)
    except ValidationError as exc:
        raise typer.BadParameter(exc.errors()[0]["msg"].removeprefix("Value error, ")) from exc
    made = convert(data, out, spec)
    size = sum(shard.bytes for shard in made.manifest.shards)
    if as_json:
        found = {"out": str(out), "codec": str(spec), "rows": made.manifest.rows, "bytes": size}
        console.put(found | {"lost": made.lost, "lost_within": made.lost_within})
    console.say(
        f"{made.manifest.rows} rows in {size:,} bytes as {spec}: lost {made.lost:.2g} of their energy, "
        f"{made.lost_within:.2g} of that in which siblings differ"
    )


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


@costfield_app.command("evaluate")
@console.guarded
def costfield_evaluate(
    path: Annotated[Path | None, typer.Argument(metavar="[FIELD]")] = None,
    pool: Annotated[
        list[Path] | None, typer.Option(help="Folder made by `atlas label --pool`. May be repeated.")
    ] = None,
    as_json: shared.Json = False,
) -> None:
    """Measure a Cost Field on problems that it was not trained on, beside every baseline on the same candidates.

    Without --pool on those that the repository keeps for the field (HumanEval and MBPP-test for the shipped one).
    """
    folder = path or settings.load().cost_field
    card = read_card(folder)
    field = CostField.load(folder, fingerprint_id=card.fingerprint_id)
    folders = pool or sorted(one.parent for one in (POOLS / folder.name).glob(f"*/{MANIFEST}"))
    if not folders:
        raise ConfigError(f"there are no pools for {folder} in {POOLS}; name some with --pool (atlas label --pool)")
    if len({one.name for one in folders}) < len(folders):
        raise ConfigError("two pools have one name; rename a folder, because results are listed by it")
    proofs = {one.name: _proof(field, one) for one in folders}
    for name, proof in proofs.items():
        console.say(proof.table(name))
    if as_json:
        console.put({name: proof.figures() for name, proof in proofs.items()})


@costfield_app.command("ablate")
@console.guarded
def costfield_ablate(
    data: Annotated[Path | None, typer.Argument(help="Folder of labelled shards; default, the field's own.")] = None,
    field: Annotated[Path | None, typer.Option(help="Folder of the field whose recipe is varied.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated. Nothing is written.")] = None,
    seeds: Annotated[int, typer.Option(help="How many, at least 5.")] = LEAST_SEEDS,
    page: Annotated[Path | None, typer.Option(help="Page with marks for the results.")] = None,
    as_json: shared.Json = False,
) -> None:
    """Measure what each option of the Cost Field is worth beside its recipe, on labelled data.

    Writes ablations.json beside the field's card, and for the shipped field the table in docs/ablations.md; of other
    data than the field's own only where --field says whose it is.
    """
    folder = field or settings.load().cost_field
    own, card = LABELLED / folder.name, read_card(folder)
    if data is None and not (own / MANIFEST).exists():
        raise ConfigError(f"there is no labelled data for {folder} in {LABELLED}; name its folder")
    mine = data is None or data.resolve() == own
    keep = not option and (mine or field is not None)
    page = page or (PAGE if mine and folder == settings.SHIPPED_FIELD and PAGE.exists() else None)
    if page:
        ablation_page.require_marks(page.read_text(encoding="utf-8"))  # not after minutes of work
    examples = load_examples(data or own, fingerprint_id=card.fingerprint_id, training=True)
    result = ablate(examples, card.config, names=option or tuple(OPTIONS), seeds=seeds, told=console.say)
    if keep:
        replace_file(folder / "ablations.json", (result.model_dump_json(indent=1) + "\n").encode())
    if keep and page:
        replace_file(page, ablation_page.put_into(page.read_text(encoding="utf-8"), result).encode())
    console.say(ablation_page.generated(result))
    if as_json:
        console.put(_differences(result))


def _differences(result: Ablations) -> dict[str, object]:
    """For each option the paired differences in selection accuracy, as in ablations.json."""
    figures = result.model_dump(mode="json", include={"mixed", "random", "seeds", "data_sha256"})
    kept = {"against", "selection", "difference", "over_plain"}
    return figures | {
        "options": {name: one.model_dump(mode="json", include=kept) for name, one in result.options.items()}
    }


def _proof(field: CostField, pool: Path) -> Proof:
    examples = load_examples(pool)
    try:
        return prove(field, examples)
    except CostFieldError as exc:
        raise type(exc)(f"{pool}: {exc}") from exc


def _show(card: Card, *, as_json: bool) -> None:
    if as_json:
        console.put(card.model_dump(mode="json"))
    else:
        console.write(card_markdown(card))
