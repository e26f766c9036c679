"""The card as a page a person reads: what a field is, how good it is beside its baselines, when not to trust it."""

from __future__ import annotations

from costfield.abstain import Abstention
from costfield.bootstrap import Estimate
from costfield.card import Card
from costfield.evaluate import Evaluation
from costfield.metrics import ReliabilityBin

BAR = 40  # characters for a probability of 1


def card_markdown(card: Card) -> str:
    """The model card in Markdown. Everything in it is read from the card; nothing is measured here."""
    parts = (
        _head(card),
        _selection(card.evaluation),
        _probability(card),
        _data(card),
        _made(card),
        _caveats(card),
    )
    return "\n\n".join(parts) + "\n"


def _head(card: Card) -> str:
    worth = (
        "It beats every baseline below, each paired 95% interval above 0."
        if card.recommended
        else "**It is not shown to beat every baseline below, so it must not be a default.**"
    )
    return (
        "# Cost Field\n\n"
        "A small network that reads the fingerprints of one task's candidate programs and says what each is likely to "
        "cost: −logit P(pass), lower is better. It runs nothing. "
        f"{worth}\n\n"
        "Its numbers are out of fold: every candidate was costed by networks that never saw its problem or a "
        "near-duplicate of it. Intervals are 95%, from resampling problems with the networks as they are: what other "
        "training data would have changed is not in them."
    )


def _selection(measured: Evaluation) -> str:
    rows = [f"| **Cost Field** | **{_ci(measured.selection)}** | **{_ci(measured.within_auroc)}** | |"]
    rows += [
        f"| {name} | {_ci(b.selection)} | {_ci(b.within_auroc)} | {_signed(b.field_minus_this)} |"
        for name, b in measured.baselines.items()
    ]
    return (
        "## Choosing among siblings\n\n"
        f"On {measured.mixed} mixed problems (those with right and wrong candidates) of {measured.problems}. "
        "*Selection* is how often the cheapest candidate is right; *AUROC* is within problems.\n\n"
        "| ranker | selection | AUROC | field − this, paired |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Gap closed between random and an oracle: {_ci(measured.gap_closed)}. Expected runs until a right program, "
        f"cheapest first: {_ci(measured.first_pass_rank)}. Pooled AUROC is {measured.pooled_auroc.value:.3f}; knowing "
        f"only how hard each problem is would get {measured.difficulty_pooled_auroc:.3f}: it says nothing of choosing."
    )


def _probability(card: Card) -> str:
    measured = card.evaluation
    chart = "\n".join(_bar(b) for b in measured.reliability)
    return (
        "## What its probabilities mean\n\n"
        f"Expected calibration error {_ci(measured.ece)} over all candidates, {_ci(measured.ece_cheapest)} for the one "
        f"that is run; Brier {_ci(measured.brier)}; area under the risk-coverage curve {measured.aurc:.3f}. "
        "Each problem weighs the same; bins hold equal mass.\n\n"
        f"```\nsaid   was    (# observed share of right programs, | where it should end)\n{chart}\n```"
        f"{_bar_line(card.abstention)}"
    )


def _bar_line(found: Abstention | None) -> str:
    if found is None:
        return ""
    if found.threshold is None:
        return (
            f"\n\nNo bar for P(pass) keeps wrong answers at {found.risk:.0%} with {found.confidence:.0%} confidence on "
            f"{found.problems} problems: it cannot be told when to abstain."
        )
    return (
        f"\n\nWhere the cheapest candidate is answered only if P(pass) is at least {found.threshold:.3f}, "
        f"{found.coverage:.1%} of the {found.problems} problems are answered and {found.error:.1%} of the answers are "
        f"wrong; on problems of this kind at most {found.risk:.0%} are, with {found.confidence:.0%} confidence."
    )


def _data(card: Card) -> str:
    data = card.data
    listed = ", ".join(f"{name} {count:,}" for name, count in data.outcomes.items())
    outcomes = f"Outcomes: {listed}. " if listed else ""
    return (
        "## Data\n\n"
        f"{data.candidates:,} candidates of {len(data.problems):,} problems in {len(set(data.problems.values())):,} "
        f"groups of near-duplicates, {data.mixed:,} problems mixed, {data.pass_share:.1%} of candidates right; "
        f"labelled by running. Problems are split by group, never by candidate. {outcomes}"
        f"sha256 `{data.sha256}`; the card lists every problem."
    )


def _made(card: Card) -> str:
    config, cal = card.config, card.calibration
    heads = f"{_layers(config.shape.rank_hidden)} ranking head, {_layers(config.shape.task_hidden)} difficulty head"
    reduced = f", {config.components} principal components" if config.components and card.dims else ""
    optional = [name for name in card.scalars if name not in card.needed]
    gates = "\n".join(f"- {gate.name}: {gate.detail}" for gate in card.gates)
    return (
        "## How it was made\n\n"
        f"Fingerprint `{card.fingerprint_id}`: embeddings of {card.dims}{reduced}; needs {_list(card.needed)}; can do "
        f"without {_list(optional)}. {config.members} networks ({heads}), seed {config.seed}, {config.optimizer}; "
        f"calibrated on {cal.problems} problems kept for it (slopes {cal.task_slope:.2f} and {cal.rank_slope:.2f}). "
        f"torch {card.code.torch}, numpy {card.code.numpy}; code sha256 `{card.code.costfield_sha256[:16]}`, weights "
        f"sha256 `{card.weights_sha256}`.{_experts(card)}\n\nGates that held:\n{gates}"
    )


def _experts(card: Card) -> str:
    if card.experts is None:
        return ""
    shares = ", ".join(f"{one.share:.0%} (level {one.level:+.2f})" for one in card.experts)
    return (
        f" Each ranking head is {len(card.experts)} experts, {card.config.routing.top} to a task, routed by how hard "
        f"it looks; together they have no more parameters than the plain head. Share of problems, hardest first: "
        f"{shares}; the least that one member sends to one expert is {min(one.least for one in card.experts):.0%}."
    )


def _caveats(card: Card) -> str:
    lines = [
        *card.caveats,
        "It knows one model's programs: another model, quantisation, prompt or feature list is refused.",
        "It was measured on problems like those it was trained on; on another kind, measure before trusting it.",
        "Its costs compare siblings of one task. Across tasks only P(pass) compares.",
        "Programs written to fool it were not tested. What decides is the sandbox.",
    ]
    return "## When not to trust it\n\n" + "\n".join(f"- {line}" for line in lines)


def _ci(e: Estimate) -> str:
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def _signed(e: Estimate) -> str:
    return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"


def _bar(b: ReliabilityBin) -> str:
    cells = ["#" if cell < round(b.observed * BAR) else " " for cell in range(BAR + 1)]
    cells[round(b.predicted * BAR)] = "|"
    return f"{b.predicted:.2f}   {b.observed:.2f}   {''.join(cells).rstrip()}"


def _layers(hidden: tuple[int, ...]) -> str:
    return "-".join(str(width) for width in hidden) if hidden else "linear"


def _list(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) if names else "no scalar"
