"""What can be switched on in a Cost Field, each named and measured by `costfield.ablate`.

An option is a change of the recipe or of how training rows are stored, on top of what it is `against`. A new one is one
more entry here: the command, the card folder's ablations.json and docs/ablations.md follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from costfield.config import TrainConfig
from costfield.data import Examples
from costfield.errors import InvalidRecipe
from costfield.quantise.columns import as_stored
from costfield.quantise.quantiser import quantiser
from costfield.quantise.spec import FLOAT16, CodecSpec

PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One thing to switch on: a change of the recipe, or of how the training rows are stored."""

    says: str
    against: str = PLAIN  # the option that it is compared with, and that `recipe` is a further change of
    recipe: Mapping[str, object] | None = None  # fields of TrainConfig
    stored: Callable[[int], CodecSpec] | None = None  # the codec for embeddings of that many dimensions


def _codec(bits: int, **more: object) -> Callable[[int], CodecSpec]:
    return lambda dims: CodecSpec.of(bits, dims, **more)  # type: ignore[arg-type]


def _unrotated(bits: int) -> Callable[[int], CodecSpec]:
    return lambda dims: CodecSpec.of(bits, dims).model_copy(update={"rotation": "none"})


LAYERS: Mapping[str, object] = {"shape": {"rank_hidden": (64, 32)}, "optimizer": "adamw"}
OPTIONS: Mapping[str, Option] = {
    PLAIN: Option(says="the recipe as it is"),
    "mlp": Option(says="hidden layers of 64 and 32 in the ranking head, AdamW", recipe=LAYERS),
    "muon": Option(says="Muon for the 64×32 matrix", against="mlp", recipe={"optimizer": "muon"}),
    "moe": Option(
        says="four experts, one a task, in the parameters of that head", against="mlp", recipe={"architecture": "moe"}
    ),
    "moe-top2": Option(
        says="four experts, two a task", against="mlp", recipe={"architecture": "moe", "routing": {"top": 2}}
    ),
    "8-bit": Option(says="training rows in rotated scalar codes", stored=_codec(8)),
    "4-bit": Option(says="the same in 4 bits", stored=_codec(4)),
    "3-bit": Option(says="the same in 3 bits", stored=_codec(3)),
    "2-bit": Option(says="the same in 2 bits", stored=_codec(2)),
    "1-bit": Option(says="the same in 1 bit", stored=_codec(1)),
    "4-bit-unrotated": Option(says="no rotation before the codes", against="4-bit", stored=_unrotated(4)),
    "4-bit-dither": Option(says="subtractive dither", against="4-bit", stored=_codec(4, dither=True)),
    "4-bit-eden": Option(says="unbiased scaling", against="4-bit", stored=_codec(4, name="eden")),
    "4-bit-product": Option(
        says="3 bits, and a sketch of what they leave", against="4-bit", stored=_codec(4, name="product")
    ),
}


def with_what_they_are_against(names: Sequence[str], *, storage: bool) -> list[str]:
    """The options asked for and all that they are compared with, in the order of `OPTIONS`.

    Without `storage`, for a recipe that reads no embeddings, how these are stored is left out.
    """
    wanted = {PLAIN}
    for name in names:
        while name not in wanted:
            wanted.add(name)
            name = OPTIONS[name].against
    return [name for name in OPTIONS if name in wanted and (storage or OPTIONS[name].stored is None)]


def recipe(name: str, config: TrainConfig) -> TrainConfig:
    """`config` under an option: the changes of what it is against, then its own."""
    option = OPTIONS[name]
    base = config if name == PLAIN else recipe(option.against, config)
    try:
        return TrainConfig.model_validate(_changed(base.model_dump(), option.recipe or {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise InvalidRecipe(f"option {name!r} does not fit the recipe: {where}: {first['msg']}") from error


def _changed(fields: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """`fields` with `changes`; of a field with parts of its own, only those that are named change."""
    out = dict(fields)
    for name, new in changes.items():
        old = out.get(name)
        out[name] = {**old, **new} if isinstance(old, Mapping) and isinstance(new, Mapping) else new
    return out


def bytes_per_row(name: str, dims: int) -> int:
    """What one embedding takes in the store under an option."""
    make = OPTIONS[name].stored
    spec = FLOAT16 if make is None else make(dims)
    return dims * spec.bits // 8 if spec.name == "float" else quantiser(spec, dims).bytes_per_row


def stored(name: str, examples: Examples) -> Examples | None:
    """The rows as a store gives them back under an option; None where it leaves them as they are."""
    make = OPTIONS[name].stored
    return None if make is None else as_stored(examples, make(examples.dims))
