"""Everything that decides what a training run does. It is saved in the card, so that the run can be repeated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from costfield.baselines import COLUMNS
from costfield.model import Shape


class TrainConfig(BaseModel):
    """Defaults suit 1,000 to 20,000 candidates. Fractions and counts are of problems, never of candidates."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int = 0
    scalars: tuple[str, ...] | None = None  # which scalar columns to read; None = all that are ever available
    ignored: tuple[str, ...] = ("index",)  # never read: the order of sampling says nothing about a program
    embeddings: bool = True  # False trains a field for servers that give no states
    components: int | None = Field(default=128, ge=1)  # principal components kept of the embedding; None = all dims
    embedding_weight: float = Field(default=8.0, gt=0)  # variance of the whole embedding beside 1 for each scalar
    shape: Shape = Shape()
    members: int = Field(default=5, ge=2)  # networks averaged; spread needs two

    # "lbfgs" takes all problems at once and converges: the choice for linear heads, whose loss is convex.
    # "adamw" takes mini-batches: the choice for hidden layers.
    optimizer: Literal["lbfgs", "adamw"] = "lbfgs"
    epochs: int = Field(default=100, ge=1)  # an epoch of L-BFGS is a few iterations
    patience: int = Field(default=10, ge=1)  # epochs without a better validation loss before stopping
    learning_rate: float = Field(default=3e-3, gt=0)  # adamw only, as are the next two
    batch: int = Field(default=32, ge=1)  # problems a step
    weight_decay: float = Field(default=0.0, ge=0)  # decoupled

    l2: float = Field(default=0.05, ge=0)  # on weights, in the loss: Adam's steps outrun any sane decoupled decay
    listwise: float = Field(default=0.3, ge=0)  # weight of the within-problem loss beside log loss
    fault_weight: float = Field(default=0.0, ge=0)  # weight of the auxiliary outcome loss; needs rank_hidden

    validation: float = Field(default=0.15, gt=0, lt=0.5)  # held out by each member for early stopping
    calibration: float = Field(default=0.15, gt=0, lt=0.5)  # held out by all members for calibration
    folds: int = Field(default=5, ge=2)  # of the cross-validation that the card reports
    resamples: int = Field(default=2000, ge=100)  # bootstrap
    columns: dict[str, str] = dict(COLUMNS)  # which scalar column each baseline reads
    threads: int = Field(default=1, ge=1)  # for torch; more help only with hidden layers and an idle machine

    @model_validator(mode="after")
    def _smooth_where_it_must_be(self) -> Self:
        if self.optimizer == "lbfgs" and self.shape.dropout:
            raise ValueError('dropout changes the loss between evaluations, which "lbfgs" cannot take; use "adamw"')
        return self
