"""The card that travels with a field: what it is, what it was trained on, how good it is and when not to trust it."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from costfield.abstain import Abstention
from costfield.calibrate import Calibration
from costfield.config import TrainConfig
from costfield.data import Examples, mixed_problems
from costfield.evaluate import Evaluation
from costfield.experts import ExpertLoad
from costfield.siblings import Siblings

SCHEMA_VERSION = 1
RENAMING = "renaming is harmless"  # the one gate that some data cannot be put through


class DataCard(BaseModel):
    """The labelled data behind a field. `problems` maps each problem to its near-duplicate group."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    candidates: int
    mixed: int
    pass_share: float
    outcomes: dict[str, int]
    problems: dict[str, str]

    @classmethod
    def of(cls, examples: Examples) -> DataCard:
        """Describe labelled rows."""
        outcomes = Counter(examples.fault.tolist() if examples.fault is not None else [])
        return cls(
            sha256=examples.digest(),
            candidates=len(examples),
            mixed=len(mixed_problems(examples)),
            pass_share=float(examples.passed.mean()),
            outcomes=dict(sorted(outcomes.items())),
            problems=dict(sorted(zip(examples.problem.tolist(), examples.group.tolist(), strict=True))),
        )


class CodeCard(BaseModel):
    """What trained it: sha256 over this package's sources, and the versions of what it stands on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    costfield_sha256: str
    torch: str
    numpy: str
    python: str

    @classmethod
    def here(cls) -> CodeCard:
        """The code that is running now."""
        sha = hashlib.sha256()
        for path in sorted(Path(__file__).parent.glob("*.py")):
            sha.update(path.name.encode() + b"\0" + path.read_bytes())
        return cls(
            costfield_sha256=sha.hexdigest(),
            torch=torch.__version__,
            numpy=np.__version__,
            python=platform.python_version(),
        )


class Gate(BaseModel):
    """A rule that training checked and that held; a rule that does not hold fails the training instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    detail: str


class Card(BaseModel):
    """card.json. Estimates are out of fold: each row was costed by a field that never saw its problem."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int
    fingerprint_id: str
    dims: int
    scalars: tuple[str, ...]  # the columns that `costs` takes, in order
    needed: tuple[str, ...]  # those that must be there; the others may be NaN
    fault_names: tuple[str, ...]
    config: TrainConfig
    data: DataCard
    code: CodeCard
    calibration: Calibration
    evaluation: Evaluation
    abstention: Abstention | None = None  # None in cards that are older than it
    siblings: Siblings | None = None  # None in cards that are older than it
    experts: tuple[ExpertLoad, ...] | None = None  # hardest first, over all problems; None without experts
    gates: tuple[Gate, ...]
    caveats: tuple[str, ...]  # when not to trust it
    weights: str  # file name beside the card
    weights_sha256: str

    @property
    def recommended(self) -> bool:
        """Whether it beats every baseline, each paired 95% interval above 0. Only such a field may be a default."""
        return all(baseline.beaten for baseline in self.evaluation.baselines.values())


def caveats(
    measured: Evaluation, calibration: Calibration, config: TrainConfig, gates: tuple[Gate, ...]
) -> Iterator[str]:
    """What a user must know before trusting the field, in sentences."""
    if measured.mixed < 100:
        yield f"Only {measured.mixed} mixed problems: differences below about 10 points cannot be told from noise."
    for name, baseline in measured.baselines.items():
        if not baseline.beaten:
            gain = baseline.field_minus_this
            yield f"Not shown to beat {name}: difference {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]."
    for name in ("first", *config.columns):
        if name not in measured.baselines:
            yield f"Not compared with {name}: the data has no column for it."
    if measured.ece.value > 0.05:
        yield f"P(pass) is off by {measured.ece.value:.3f} on average (expected calibration error)."
    if calibration.rank_slope < 0.2:
        yield "Calibration all but silences the ranking head: on held-out problems it hardly tells siblings apart."
    if not any(gate.name == RENAMING for gate in gates):
        yield "Whether it reads the names of variables was not tested: the data has no renamed candidates."
