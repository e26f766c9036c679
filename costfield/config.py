"""Everything that decides what a training run does. It is saved in the card, so that the run can be repeated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from costfield.baselines import COLUMNS
from costfield.experts import Mixture, Routing
from costfield.model import Network, Shape


class TrainConfig(BaseModel):
    """Defaults suit 1,000 to 20,000 candidates. Fractions and counts are of problems, never of candidates."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int = 0
    scalars: tuple[str, ...] | None = None  # which scalar columns to read; None = all that are ever available
    ignored: tuple[str, ...] = ("index",)  # never read: the order of sampling says nothing about a program
    # Scalars that compare a candidate with its siblings: where it has none they are missing, and put at their mean.
    relative: tuple[str, ...] = ("agreement", "shape_agreement", "same_shape", "copies")
    embeddings: bool = True  # False trains a field for servers that give no states
    components: int | None = Field(default=128, ge=1)  # principal components kept of the embedding; None = all dims
    embedding_weight: float = Field(default=8.0, gt=0)  # variance of the whole embedding beside 1 for each scalar
    shape: Shape = Shape()
    architecture: Literal["mlp", "moe"] = "mlp"  # "moe": experts that fit in the parameters of the "mlp" of this shape
    routing: Routing = Routing()  # "moe" only
    members: int = Field(default=5, ge=2)  # networks averaged; spread needs two

    # "lbfgs" takes all problems at once and converges: the choice for linear heads, whose loss is convex.
    # "adamw" takes mini-batches: the choice for hidden layers.
    # "muon" is "adamw" but for matrices between two hidden layers, whose updates it orthogonalises.
    optimizer: Literal["lbfgs", "adamw", "muon"] = "lbfgs"
    epochs: int = Field(default=100, ge=1)  # an epoch of L-BFGS is a few iterations
    patience: int = Field(default=10, ge=1)  # epochs without a better validation loss before stopping
    learning_rate: float = Field(default=3e-3, gt=0)  # not of lbfgs, as are the next two
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
        if self.optimizer == "lbfgs" and self.architecture == "moe":
            raise ValueError('the loss jumps where "moe" routes anew, which "lbfgs" cannot take; use "adamw"')
        return self

    @model_validator(mode="after")
    def _layers_where_they_are_needed(self) -> Self:
        if self.architecture == "moe" and not self.shape.rank_hidden:
            raise ValueError('architecture "moe" needs shape.rank_hidden, e.g. [32]: experts are cut from its layers')
        if self.optimizer == "muon" and max(len(self.shape.rank_hidden), len(self.shape.task_hidden)) < 2:
            raise ValueError(
                'optimizer "muon" is for the matrix between two hidden layers, and there is none: '
                'give shape.rank_hidden two widths, e.g. [64, 32], or use "adamw"'
            )
        return self

    def network(self, rank_width: int, task_width: int, faults: int) -> nn.Module:
        """An untrained network for these feature widths: (rank (n, R), task (t, S), of (n,)) -> `model.Logits`.

        Raises `InvalidRecipe` when experts do not fit the budget.
        """
        if self.architecture == "moe":
            return Mixture(rank_width, task_width, self.shape, self.routing, faults)
        return Network(rank_width, task_width, self.shape, faults)
