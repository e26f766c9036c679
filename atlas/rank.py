"""Rankers: who is run first. The Cost Field, and the baselines that it must beat on the same candidates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atlas.errors import ConfigError, FingerprintMismatch, RankingError
from atlas.features import SCALARS, scalars
from atlas.protocols import Fingerprint, Fingerprinter, Ranker
from atlas.types import Candidate, Ranked, Task
from costfield.errors import CostFieldError
from costfield.field import CostField


def require_match(field: CostField, fingerprinter: Fingerprinter) -> None:
    """Raise FingerprintMismatch unless `field` was trained on what `fingerprinter` makes."""
    if field.fingerprint_id != fingerprinter.id:
        raise FingerprintMismatch(
            f"the Cost Field was trained on fingerprints {field.fingerprint_id}, and this service makes "
            f"{fingerprinter.id}: train one for this model (atlas label, atlas costfield train), or set ranker to a "
            "baseline such as log-probability"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFieldRanker:
    """Cheapest first, by a Cost Field trained on this very kind of fingerprint. Make it with `open`."""

    fingerprinter: Fingerprinter
    field: CostField
    name: str = "cost-field"

    @classmethod
    def open(cls, fingerprinter: Fingerprinter, field: CostField) -> CostFieldRanker:
        """Raises FingerprintMismatch."""
        require_match(field, fingerprinter)
        return cls(fingerprinter=fingerprinter, field=field)

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
        if not candidates:
            return []
        fingerprints = await self.fingerprinter.fingerprints(task, candidates)
        try:
            ranked = self._scored(candidates, fingerprints)
        except CostFieldError as exc:
            raise RankingError(f"the Cost Field cannot score these candidates: {exc}") from exc
        return sorted(ranked, key=_by_cost)

    def _scored(self, candidates: Sequence[Candidate], fingerprints: Sequence[Fingerprint]) -> list[Ranked]:
        """Each candidate with its cost, or with why it has none: what spoils one leaves its siblings their costs."""
        problems = {i: f.problem for i, f in enumerate(fingerprints) if f.problem}
        whole = [i for i in range(len(candidates)) if i not in problems]
        if whole:
            said = self.field.complaints(*self._arrays([fingerprints[i] for i in whole]))
            problems |= {i: problem for i, problem in zip(whole, said, strict=True) if problem}
        ranked = [_unscored(candidates[i], problem) for i, problem in problems.items()]
        whole = [i for i in whole if i not in problems]
        if whole:
            estimate = self.field.costs(*self._arrays([fingerprints[i] for i in whole]))
            ranked += [
                Ranked(candidate=candidates[i], cost=float(cost), p_pass=float(p))
                for i, cost, p in zip(whole, estimate.cost, estimate.p_pass, strict=True)
            ]
        return ranked

    def _arrays(self, fingerprints: Sequence[Fingerprint]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        order = [self.fingerprinter.scalar_names.index(name) for name in self.field.scalar_names]
        embeddings = np.stack([f.embedding for f in fingerprints])[:, : self.field.dims]
        return embeddings, np.stack([f.scalars[order] for f in fingerprints])


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRanker:
    """A baseline: one scalar is the cost. Missing values stand last and say so."""

    name: str
    column: str
    sign: float

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
        if not candidates:
            return []
        costs = self.sign * scalars(task, candidates)[:, SCALARS.index(self.column)].astype(np.float64)
        missing = f"the model's server gives no {self.column}"
        ranked = [
            _unscored(c, missing) if np.isnan(cost) else Ranked(candidate=c, cost=float(cost))
            for c, cost in zip(candidates, costs, strict=True)
        ]
        return sorted(ranked, key=_by_cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomRanker:
    """A baseline: an order drawn from the seed, the task and the program, so that a rerun draws the same."""

    seed: int = 0
    name: str = "random"

    async def rank(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Ranked]:
        return sorted((Ranked(candidate=c, cost=self._draw(task, c)) for c in candidates), key=_by_cost)

    def _draw(self, task: Task, candidate: Candidate) -> float:
        digest = hashlib.sha256(f"{self.seed}\0{task.id}\0{candidate.digest}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


BASELINES: dict[str, Callable[[], Ranker]] = {
    "first": lambda: ColumnRanker(name="first", column="index", sign=1.0),
    "random": RandomRanker,
    "shortest": lambda: ColumnRanker(name="shortest", column="chars", sign=1.0),
    "log-probability": lambda: ColumnRanker(name="log-probability", column="logprob_mean", sign=-1.0),
    "agreement": lambda: ColumnRanker(name="agreement", column="agreement", sign=-1.0),
}


def baseline(name: str) -> Ranker:
    """The baseline ranker called `name`. Raises ConfigError, listing the names there are."""
    if name not in BASELINES:
        raise ConfigError(f"there is no ranker {name!r}; choose cost-field or one of {', '.join(BASELINES)}")
    return BASELINES[name]()


def _by_cost(ranked: Ranked) -> tuple[bool, float, int]:
    """Unscored candidates last; ties in the order in which the model gave them."""
    return ranked.cost is None, 0.0 if ranked.cost is None else ranked.cost, ranked.candidate.index


def _unscored(candidate: Candidate, problem: str) -> Ranked:
    return Ranked(candidate=candidate, cost=None, problem=problem)
