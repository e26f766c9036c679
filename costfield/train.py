"""Train a Cost Field from labelled fingerprints. Read top to bottom: it is the whole recipe.

    field = train(load_examples(folder), TrainConfig())
    field.save(path)

1. Estimate how good the recipe is by cross-validation over problems: every row gets a cost from networks that never
   saw its problem, and those out-of-fold costs make the card's numbers.
2. Fit once more, on all problems. That is the artifact; the card's numbers describe it slightly too modestly.
3. Check the gates. A field that breaks one is not handed out.

One fit holds out some problems for calibration, gives each member its own validation problems for early stopping, and
minimises log loss + `listwise` × within-problem loss. Each problem weighs the same, however many candidates it has.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from costfield import gates
from costfield.abstain import Abstention, fit_abstention
from costfield.calibrate import fit_calibration
from costfield.card import SCHEMA_VERSION, Card, CodeCard, DataCard, Gate, caveats
from costfield.config import TrainConfig
from costfield.data import Examples, kfold, require_disjoint, require_trainable, split, split_rows, unavailable
from costfield.ensemble import Ensemble, Estimates, member_logits
from costfield.errors import InvalidExamples, TooFewProblems
from costfield.evaluate import Evaluation, evaluate
from costfield.experts import ExpertLoad, loads
from costfield.features import FeatureMap
from costfield.field import CostField, pack
from costfield.objective import Batch, total_loss, within_problem_loss
from costfield.optimise import optimizers
from costfield.renaming import Twins, renaming_is_harmless
from costfield.siblings import Siblings

MIN_PROBLEMS = 40  # below this the parts of a fold's split are a handful of problems each
MIN_MIXED = 20


def train(examples: Examples, config: TrainConfig, twins: Twins | None = None) -> CostField:
    """Train, measure and gate a field. Deterministic for one configuration, data set and number of threads.

    `twins` are some of the candidates with their variables renamed; without, that names do not matter goes untested.
    Raises `InvalidExamples` (`TooFewProblems`) for data that cannot be learned from, `LeakedProblems` and `GateFailed`
    for a field that must not be used. Nothing is written.
    """
    require_trainable(examples, problems=MIN_PROBLEMS, mixed=MIN_MIXED)
    everything, examples = examples, select_columns(examples, config)  # baselines may read what the field does not
    out_of_fold = cross_validate(examples, config)
    measured = evaluate(
        everything,
        out_of_fold.cost,
        out_of_fold.p_pass,
        columns=config.columns,
        seed=config.seed,
        resamples=config.resamples,
    )
    bar = fit_abstention(examples, out_of_fold.cost, out_of_fold.p_pass)
    siblings = Siblings.fit(out_of_fold.p_pass, examples.passed, examples.problem)
    ensemble = fit(examples, config, config.seed)
    held = tuple(pass_gates(examples, config, out_of_fold, ensemble, twins))
    return CostField(ensemble=ensemble, card=make_card(examples, config, ensemble, measured, bar, siblings, held))


def pass_gates(
    examples: Examples, config: TrainConfig, out_of_fold: Estimates, ensemble: Ensemble, twins: Twins | None
) -> Iterator[Gate]:
    """Each gate that holds, in turn. Raises `GateFailed` at the first that does not."""
    trained = partial(fit, config=cheaper(config), seed=config.seed)
    yield Gate(name="one kind of fingerprint", detail=examples.fingerprint_id)  # `Examples` cannot hold two
    yield Gate(name="no problem on both sides", detail=f"{config.folds} folds, calibration and validation parts")
    yield gates.prompt_only_is_chance(examples, out_of_fold.task_logit)
    yield gates.field_is_alive(examples, out_of_fold.cost)
    yield gates.identical_are_tied(examples, ensemble.estimate)
    yield gates.shuffled_is_chance(examples, lambda rows, others: trained(rows).estimate(others).cost, config.seed)
    if twins is not None:
        yield renaming_is_harmless(examples, twins, trained)


# ---- data -----------------------------------------------------------------------------------------------------------


def select_columns(examples: Examples, config: TrainConfig) -> Examples:
    """The columns that the configuration asks for. Raises `InvalidExamples` when that cannot be."""
    names = config.scalars
    if names is None:
        names = tuple(n for n in examples.scalar_names if n not in config.ignored and n not in unavailable(examples))
    elif never := set(names) & set(unavailable(examples)):
        raise InvalidExamples(f"scalars available for no candidate: {', '.join(sorted(never))}; leave them out")
    embeddings = examples.embeddings if config.embeddings else examples.embeddings[:, :0]
    examples = replace(examples.with_scalars(names), embeddings=embeddings)
    if config.fault_weight and (examples.fault is None or not config.shape.rank_hidden):
        raise InvalidExamples(
            "fault_weight is set, but auxiliary outcomes need recorded faults and a ranking head with hidden layers"
        )
    return examples


# ---- optimisation ---------------------------------------------------------------------------------------------------


def fit_member(
    training: Batch, validation: Batch, config: TrainConfig, faults: int, seed: int
) -> tuple[nn.Module, tuple[float, ...]]:
    """One network and its validation loss after each epoch: mini-batches of whole problems, stopped when held-out
    siblings are ranked no better.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = config.network(training.rank.shape[1], training.task.shape[1], faults)
        steppers = optimizers(network, config)
        batches = deal(training, config)
        best_loss, best_state, waited = float("inf"), copy.deepcopy(network.state_dict()), 0
        history: list[float] = []
        for _ in range(config.epochs):
            network.train()
            for turn in torch.randperm(len(batches)).tolist():
                step(network, batches[turn], steppers, config)
            held_out = validation_loss(network, validation)
            history.append(held_out)
            if held_out < best_loss - 1e-5:
                best_loss, best_state, waited = held_out, copy.deepcopy(network.state_dict()), 0
            elif (waited := waited + 1) >= config.patience:
                break
        network.load_state_dict(best_state)
        return network, tuple(history)


def deal(training: Batch, config: TrainConfig) -> list[Batch]:
    """Mini-batches of whole problems, dealt once and then only reordered: gathering anew costs more than learning."""
    if config.optimizer == "lbfgs":
        return [training]
    parts: tuple[torch.Tensor, ...] = torch.randperm(len(training.task)).split(config.batch)  # type: ignore[no-untyped-call]
    return [training.take(problems) for problems in parts]


def step(network: nn.Module, batch: Batch, steppers: list[torch.optim.Optimizer], config: TrainConfig) -> None:
    """One update of every parameter; all optimisers use the gradient that the first one asks for."""

    def closure() -> float:
        network.zero_grad()
        loss = total_loss(network, batch, config)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    first, *others = steppers
    first.step(closure)
    for stepper in others:
        stepper.step()


@torch.no_grad()
def validation_loss(network: nn.Module, validation: Batch) -> float:
    """Within-problem loss of the ranking head, dropout off."""
    network.eval()
    return float(within_problem_loss(network(validation.rank, validation.task, validation.of).rank, validation))


def fit(examples: Examples, config: TrainConfig, seed: int) -> Ensemble:
    """An ensemble, calibrated on problems that no member trained on or stopped by."""
    rest, held_out = split(examples, (1 - config.calibration, config.calibration), seed)
    features = FeatureMap.fit(rest, config.components, config.embedding_weight)
    with threads(config.threads):
        members, history = fit_members(rest, features, config, seed)
    codes = held_out.codes()
    b, r = member_logits(members, features, held_out.embeddings, held_out.scalars, codes)
    weight = held_out.weight / np.bincount(codes, weights=held_out.weight)[codes]
    calibration = fit_calibration(b.mean(axis=0), r.mean(axis=0), held_out.passed, weight)
    return Ensemble(features=features, members=members, calibration=calibration, history=history)


def fit_members(
    examples: Examples, features: FeatureMap, config: TrainConfig, seed: int
) -> tuple[nn.ModuleList, tuple[tuple[float, ...], ...]]:
    """Networks, and their histories. They differ in which problems stop them: linear ones that see the same problems
    come out equal.
    """
    names = fault_names(examples, config)
    everything, codes = Batch.of_examples(examples, features, names), examples.codes()
    members, histories = nn.ModuleList(), []
    for member in range(config.members):
        rows = split_rows(examples, (1 - config.validation, config.validation), seed + 1000 + member)
        require_disjoint(*(examples.take(part) for part in rows))
        training, validation = (everything.take(torch.from_numpy(np.unique(codes[part]))) for part in rows)
        if not (training.mixed.any() and validation.mixed.any()):
            raise TooFewProblems("so few groups hold mixed problems that a validation part has none; label more")
        network, history = fit_member(training, validation, config, faults=len(names), seed=seed + member)
        members.append(network)
        histories.append(history)
    return members, tuple(histories)


def cross_validate(
    examples: Examples, config: TrainConfig, *, learn_from: Examples | None = None, keep: list[Ensemble] | None = None
) -> Estimates:
    """Out-of-fold estimates of every row, each from an ensemble that never saw its problem or a near-duplicate.

    `learn_from` holds the same rows in another form, to train on instead; ensembles are appended to `keep`.
    """
    source = examples if learn_from is None else learn_from
    columns = {name: np.empty(len(examples)) for name in ("cost", "p_pass", "spread", "task_logit")}
    for fold, (training_rows, held_out_rows) in enumerate(kfold(examples, config.folds, config.seed)):
        training, held_out = source.take(training_rows), examples.take(held_out_rows)
        require_disjoint(training, held_out)
        ensemble = fit(training, config, config.seed + 10_000 * (fold + 1))
        if keep is not None:
            keep.append(ensemble)
        says = ensemble.estimate(held_out)
        for name, column in columns.items():
            column[held_out_rows] = getattr(says, name)
    return Estimates(**columns)


def fault_names(examples: Examples, config: TrainConfig) -> tuple[str, ...]:
    """The outcomes that are auxiliary targets, sorted; () when they are not."""
    return tuple(np.unique(examples.fault).tolist()) if config.fault_weight and examples.fault is not None else ()


def cheaper(config: TrainConfig) -> TrainConfig:
    """The same recipe with the fewest members, for gates that train only to find a leak."""
    return config.model_copy(update={"members": 2, "fault_weight": 0.0})


def make_card(
    examples: Examples,
    config: TrainConfig,
    ensemble: Ensemble,
    measured: Evaluation,
    bar: Abstention,
    siblings: Siblings,
    held: tuple[Gate, ...],
) -> Card:
    """The card of a trained ensemble."""
    digest = hashlib.sha256(pack(ensemble)).hexdigest()
    seen = zip(examples.scalar_names, ~ensemble.features.optional, strict=True)
    return Card(
        schema_version=SCHEMA_VERSION,
        fingerprint_id=examples.fingerprint_id,
        dims=examples.dims,
        scalars=examples.scalar_names,
        needed=tuple(name for name, always in seen if always and name not in config.relative),
        fault_names=fault_names(examples, config),
        config=config,
        data=DataCard.of(examples),
        code=CodeCard.here(),
        calibration=ensemble.calibration,
        evaluation=measured,
        experts=expert_loads(examples, config, ensemble),
        abstention=bar,
        siblings=siblings,
        gates=held,
        caveats=tuple(caveats(measured, ensemble.calibration, config, held)),
        weights=f"weights-{digest[:12]}.safetensors",
        weights_sha256=digest,
    )


def expert_loads(examples: Examples, config: TrainConfig, ensemble: Ensemble) -> tuple[ExpertLoad, ...] | None:
    """How the ensemble spreads these problems over its experts; None without experts."""
    routes = ensemble.routes(examples.embeddings, examples.scalars, examples.codes())
    return None if routes is None else loads(*routes, config.routing.top)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run torch on `count` threads, then put the process back as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
