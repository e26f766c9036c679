"""The Cost Field as it is used and kept: a folder with `card.json` and the weights (safetensors, never pickle).

    field = CostField.load(path, fingerprint_id=the_id_of_the_serving_fingerprinter)
    estimate = field.costs(embeddings, scalars)      # the candidates of ONE task; cheapest is most likely right

The weights' file name carries their hash, and replacing `card.json` is the step that makes a save count: whenever a
save stops half-way, the old card still points at the old weights.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import nn

from costfield.baselines import COLUMNS
from costfield.card import SCHEMA_VERSION, Card
from costfield.data import Examples, Floats
from costfield.ensemble import Ensemble, Estimates
from costfield.errors import FingerprintMismatch, InvalidField, InvalidFingerprint, LeakedProblems
from costfield.evaluate import Evaluation, evaluate
from costfield.features import FeatureMap
from costfield.shards import replace_file

F64 = npt.NDArray[np.float64]
CARD = "card.json"
PROBE_TOLERANCE = 1e-4  # float32 matrix products differ by about 1e-6 between machines


@dataclass(frozen=True, kw_only=True, eq=False)
class CostEstimate:
    """What a field says of one task's k candidates. All (k,) float64 and finite."""

    cost: F64  # −logit P(pass); lower is better
    p_pass: F64  # calibrated P(pass)
    spread: F64  # disagreement of the ensemble, in logits


@dataclass(frozen=True, kw_only=True, eq=False)
class Difficulty:
    """How hard a task looks from its candidates so far: what the number of candidates may follow."""

    logit: float  # calibrated logit P(pass) of a typical candidate; higher is easier
    route: F64 | None  # (E,) how likely it is a task for each expert, hardest first, mean over members; None without


class CostField:
    """A trained ensemble and its card. Immutable; `costs` may be called from several threads."""

    def __init__(self, *, ensemble: Ensemble, card: Card) -> None:
        self.ensemble = ensemble
        self.card = card

    @property
    def fingerprint_id(self) -> str:
        """The only kind of fingerprint this field understands."""
        return self.card.fingerprint_id

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """The scalar columns that `costs` takes, in order."""
        return self.card.scalars

    @property
    def dims(self) -> int:
        """Length of the embeddings that `costs` takes; 0 = none are needed."""
        return self.card.dims

    def costs(self, embeddings: npt.ArrayLike, scalars: npt.ArrayLike) -> CostEstimate:
        """Cost the k ≥ 1 candidates of one task: embeddings (k, dims), scalars (k, s) in the order of `scalar_names`.

        Pass all siblings at once: a candidate's cost depends on how it differs from them. NaN means "not available"
        and is allowed only for scalars that training saw missing. Raises `InvalidFingerprint` otherwise.
        """
        vectors, columns = np.asarray(embeddings, np.float32), np.asarray(scalars, np.float32)
        self._require_valid(vectors, columns)
        says = self.ensemble(vectors, columns, np.zeros(len(vectors), np.int64))
        return CostEstimate(cost=says.cost, p_pass=says.p_pass, spread=says.spread)

    def difficulty(self, embeddings: npt.ArrayLike, scalars: npt.ArrayLike) -> Difficulty:
        """How hard the task of these k ≥ 1 siblings is. Arguments and errors as for `costs`."""
        vectors, columns = np.asarray(embeddings, np.float32), np.asarray(scalars, np.float32)
        self._require_valid(vectors, columns)
        one = np.zeros(len(vectors), np.int64)
        routes = self.ensemble.routes(vectors, columns, one)
        return Difficulty(
            logit=float(self.ensemble(vectors, columns, one).task_logit[0]),
            route=None if routes is None else routes[0].mean(axis=0)[0],
        )

    def complaints(self, embeddings: npt.ArrayLike, scalars: npt.ArrayLike) -> tuple[str, ...]:
        """For each of k siblings, why `costs` would refuse it; "" when it would not.

        A sibling with a complaint must be left out of `costs` and stay unscored. Raises `InvalidFingerprint` when the
        arrays as a whole have the wrong shape.
        """
        vectors, columns = np.asarray(embeddings, np.float32), np.asarray(scalars, np.float32)
        k, s = len(vectors), len(self.scalar_names)
        if k == 0 or vectors.shape != (k, self.dims) or columns.shape != (k, s):
            raise InvalidFingerprint(
                f"expected embeddings (k, {self.dims}) and scalars (k, {s}) of k ≥ 1 siblings, "
                f"got {vectors.shape} and {columns.shape}"
            )
        return tuple(self._complaint(vector, row) for vector, row in zip(vectors, columns, strict=True))

    def evaluate(self, examples: Examples, *, seed: int = 0) -> Evaluation:
        """Measure the field on labelled problems that it was not trained on.

        Raises `FingerprintMismatch` for another kind of fingerprint, `LeakedProblems` when a problem (or a
        near-duplicate) was trained on, `InvalidExamples` when a column that it reads is absent.
        """
        self.require_fingerprint(examples.fingerprint_id)
        self._require_unseen(examples)
        estimates = self.estimate(examples)
        config = self.card.config
        columns = {**COLUMNS, **config.columns}  # baselines that were thought of after the field was trained count too
        return evaluate(
            examples, estimates.cost, estimates.p_pass, columns=columns, seed=seed, resamples=config.resamples
        )

    def estimate(self, examples: Examples) -> Estimates:
        """Costs of every labelled row, each problem's rows taken as siblings."""
        vectors = examples.embeddings if self.dims else examples.embeddings[:, :0]
        columns = examples.with_scalars(self.scalar_names).scalars
        self._require_valid(vectors, columns)
        return self.ensemble(vectors, columns, examples.codes())

    def require_fingerprint(self, fingerprint_id: str) -> None:
        """Raise `FingerprintMismatch` unless the field was trained on this kind of fingerprint."""
        if fingerprint_id != self.fingerprint_id:
            raise FingerprintMismatch(
                f"the field reads fingerprints {self.fingerprint_id!r}, but {fingerprint_id!r} is what there is; "
                "use a field trained for this model and template, or train one"
            )

    def save(self, path: Path) -> None:
        """Write the field to folder `path`, replacing one that is there only when all has been written."""
        path.mkdir(parents=True, exist_ok=True)
        replace_file(path / self.card.weights, pack(self.ensemble))
        replace_file(path / CARD, (self.card.model_dump_json(indent=1) + "\n").encode())
        for stale in path.glob("weights-*.safetensors"):
            if stale.name != self.card.weights:
                stale.unlink()

    @classmethod
    def load(cls, path: Path, *, fingerprint_id: str) -> CostField:
        """Read and verify a saved field.

        Raises `InvalidField` when anything is missing, altered or of another schema, or when the saved probe's costs
        cannot be reproduced here; `FingerprintMismatch` when it was trained on other fingerprints than the caller's.
        """
        card = read_card(path)
        try:
            data = (path / card.weights).read_bytes()
        except FileNotFoundError:
            raise InvalidField(f"{path / card.weights} is missing; restore it or train the field again") from None
        if hashlib.sha256(data).hexdigest() != card.weights_sha256:
            raise InvalidField(f"{path / card.weights} does not match the sha256 in its card: truncated or altered")
        field = cls(ensemble=unpack(data, card), card=card)
        field.require_fingerprint(fingerprint_id)
        return field

    def _require_valid(self, vectors: Floats, columns: Floats) -> None:
        if bad := [f"sibling {row}: {said}" for row, said in enumerate(self.complaints(vectors, columns)) if said]:
            raise InvalidFingerprint(f"{len(bad)} of {len(vectors)} fingerprints cannot be costed; {bad[0]}")

    def _complaint(self, vector: Floats, row: Floats) -> str:
        if not np.isfinite(vector).all():
            return "its embedding is not finite"
        named = dict(zip(self.scalar_names, row.tolist(), strict=True))
        wrong = [name for name, x in named.items() if math.isinf(x) or (math.isnan(x) and name in self.card.needed)]
        return f"this field needs {', '.join(wrong)} as a finite number" if wrong else ""

    def _require_unseen(self, examples: Examples) -> None:
        trained = self.card.data.problems
        seen = sorted(set(examples.problem.tolist()) & set(trained))
        seen += sorted(set(examples.group.tolist()) & set(trained.values()))
        if seen:
            raise LeakedProblems(f"the field was trained on {seen[0]!r}: measure it on problems that it has not seen")


def read_card(path: Path) -> Card:
    """The card of the field in folder `path`, without its weights. Raises `InvalidField`."""
    try:
        card = Card.model_validate_json((path / CARD).read_bytes())
    except FileNotFoundError:
        raise InvalidField(f"there is no Cost Field in {path}: no {CARD}; train one first") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidField(f"{path / CARD} is no card of schema {SCHEMA_VERSION}: {where}: {first['msg']}") from error
    if card.schema_version != SCHEMA_VERSION:
        raise InvalidField(f"{path / CARD} has schema {card.schema_version}, this version reads {SCHEMA_VERSION}")
    if Path(card.weights).name != card.weights:
        raise InvalidField(f"{path / CARD} names weights outside its own folder: {card.weights!r}")
    return card


def pack(ensemble: Ensemble) -> bytes:
    """All arrays of an ensemble, with a probe (made-up siblings and the costs they get) to check a reader against."""
    features = ensemble.features
    tensors = {f"features.{name}": np.ascontiguousarray(array) for name, array in features.arrays().items()}
    for name, tensor in ensemble.members.state_dict().items():
        tensors[f"members.{name}"] = tensor.numpy()
    rng = np.random.default_rng(0)
    d, s = len(features.task_mean), len(features.scalar_task_mean)
    embeddings = features.task_mean + _typical(features.rank_scale) * rng.standard_normal((4, d))
    scalars = features.scalar_task_mean + _typical(features.scalar_rank_scale) * rng.standard_normal((4, s))
    probe = {"embeddings": embeddings.astype(np.float32), "scalars": scalars.astype(np.float32)}
    cost = ensemble(probe["embeddings"], probe["scalars"], np.zeros(4, np.int64)).cost
    tensors |= {f"probe.{name}": array for name, array in (probe | {"cost": cost}).items()}
    return safetensors.numpy.save(tensors)


def unpack(data: bytes, card: Card) -> Ensemble:
    """The ensemble in `data`, as its card describes it. Raises `InvalidField` when they don't agree."""
    try:
        tensors = safetensors.numpy.load(data)
        groups: dict[str, dict[str, npt.NDArray[np.generic]]] = {"features": {}, "members": {}, "probe": {}}
        for name, array in tensors.items():
            group, _, key = name.partition(".")
            groups[group][key] = array
        features = FeatureMap(**groups["features"])  # type: ignore[arg-type]
        members = nn.ModuleList(
            card.config.network(*features.widths, len(card.fault_names)) for _ in range(card.config.members)
        )
        members.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in groups["members"].items()})
        ensemble = Ensemble(features=features, members=members, calibration=card.calibration)
        probe = groups["probe"]
        cost = ensemble(probe["embeddings"], probe["scalars"], np.zeros(4, np.int64)).cost  # type: ignore[arg-type]
        drift = float(np.abs(cost - probe["cost"]).max())  # type: ignore[operator]
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise InvalidField(f"the weights do not fit their card: {error}") from error
    if not drift <= PROBE_TOLERANCE:
        raise InvalidField(f"this code gives the field's own probe costs that differ by {drift:.2g}; train it again")
    return ensemble


def _typical(scale: Floats) -> Floats:
    """Standard deviations back from their inverses; 0 for features that never varied."""
    sizes: Floats = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    return sizes
