"""Ablations as a page a person reads: one table, what it was measured on, and what the default should be."""

from __future__ import annotations

from typing import Literal

from costfield.ablate import Ablations, Measured
from costfield.bootstrap import Estimate
from costfield.errors import InvalidRecipe
from costfield.experts import ExpertLoad
from costfield.options import PLAIN

BEGIN, END = "<!-- begin: atlas costfield ablate -->", "<!-- end: atlas costfield ablate -->"


def require_marks(page: str) -> None:
    """Raise `InvalidRecipe` unless `page` has both marks, in order."""
    if not 0 <= page.find(BEGIN) < page.find(END):
        raise InvalidRecipe(f"the page has no line {BEGIN!r} followed by {END!r}, between which results would go")


def put_into(page: str, result: Ablations) -> str:
    """`page` with what is between the marks replaced."""
    require_marks(page)
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{generated(result)}{END}{rest.partition(END)[2]}"


def generated(result: Ablations) -> str:
    """The generated part, in Markdown. Everything in it is read from `result`."""
    rows = "\n".join(_row(name, one) for name, one in result.options.items())
    return (
        f"Measured on {result.candidates:,} labelled candidates of {result.problems} problems, {result.mixed} of them "
        f"mixed (data sha256 `{result.data_sha256[:16]}`), with {len(result.seeds)} seeds and {result.recipe.folds} "
        f"folds; choosing at random is right {result.random:.3f} of the time. Fingerprints "
        f"`{result.fingerprint_id}`, torch {result.code.torch}, code sha256 `{result.code.costfield_sha256[:16]}`.\n\n"
        "| option | against | selection | selection − against, paired | its seeds | AUROC | AUROC − against | "
        "epochs to the same loss | seconds | bytes a row |\n|---|---|---|---|---|---|---|---|---|---|\n"
        f"{rows}\n\n{_loads(result)}{_verdict(result)}\n"
    )


def supported(result: Ablations) -> list[str]:
    """The options whose paired interval over the recipe as it is lies above 0: what a default may be made of."""
    return [name for name, one in result.options.items() if one.over_plain is not None and one.over_plain.low > 0]


def _row(name: str, one: Measured) -> str:
    spread = f"{min(one.by_seed):+.3f} to {max(one.by_seed):+.3f}" if one.against else ""
    epochs = f"{one.epochs[0]:g} for {one.epochs[1]:g}" if one.epochs else ""
    return (
        f"| {name}: {one.says} | {one.against or ''} | {_ci(one.selection)} | {_signed(one.difference)} | {spread} | "
        f"{one.within_auroc.value:.3f} | {_signed(one.auroc_difference)} | {epochs} | {one.seconds:.1f} | "
        f"{one.bytes_per_row:,} |"
    )


def _loads(result: Ablations) -> str:
    lines = [f"{name}: {_shares(one.experts)}" for name, one in result.options.items() if one.experts]
    return f"Share of problems that each expert gets, hardest first: {'; '.join(lines)}.\n\n" if lines else ""


def _shares(experts: tuple[ExpertLoad, ...]) -> str:
    return ", ".join(f"{one.share:.0%}" for one in experts)


def _verdict(result: Ablations) -> str:
    compared = [one for one in result.options.values() if one.difference is not None]
    chosen = supported(result)
    default = (
        f"Over the recipe as it is, the interval lies above 0 for {_list(chosen)}: the default may change."
        if chosen
        else f"No option's interval over `{PLAIN}` lies above 0, so the recipe stays the default."
    )
    more, less = (_list(_clear(result, "difference", sign)) for sign in (1, -1))
    finer, coarser = (_list(_clear(result, "auroc_difference", sign)) for sign in (1, -1))
    return (
        f"Of {len(compared)} comparisons, selection is higher for {more} and lower for {less}; where the interval "
        f"holds 0 there is no measurable difference. AUROC, which is finer, is higher for {finer} and lower for "
        f"{coarser}. {default}"
    )


def _clear(result: Ablations, what: Literal["difference", "auroc_difference"], sign: int) -> list[str]:
    """The options whose interval lies wholly above (1) or below (−1) 0."""
    compared = {name: getattr(one, what) for name, one in result.options.items()}
    return [name for name, e in compared.items() if e is not None and min(sign * e.low, sign * e.high) > 0]


def _list(names: list[str]) -> str:
    return ", ".join(names) or "no option"


def _ci(e: Estimate) -> str:
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def _signed(e: Estimate | None) -> str:
    return "" if e is None else f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"
