"""What a finished field is worth on pools of problems that it was never trained on, in the figures of its claim."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from costfield.abstain import Abstained, measure_abstention
from costfield.bootstrap import Estimate
from costfield.data import Examples, require_trainable
from costfield.evaluate import Compared, Evaluation
from costfield.field import CostField

MIN_PROBLEMS = 20  # below these, every interval is about as wide as all that is possible
MIN_MIXED = 10
RANDOM, ORACLE = "random", "oracle"


class Proof(BaseModel):
    """A field on one pool. Rates are over mixed problems, but for abstention and calibration, which are over all."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    evaluation: Evaluation
    baselines: dict[str, Compared]  # those of the evaluation, and the oracle
    best_baseline: str  # of those that one could use: the one that selects best on this pool
    abstention: Abstained | None  # at the bar of the field's card; None where the card has none
    fingerprint_id: str
    weights_sha256: str
    pool_sha256: str

    def figures(self) -> dict[str, object]:
        """One flat object: each figure by name, with its 95% interval as `_low` and `_high`."""
        e, kept = self.evaluation, self.abstention
        return {
            "problems": e.problems,
            "mixed": e.mixed,
            "candidates": e.candidates,
            **_spread("selection", e.selection),
            "best_baseline": self.best_baseline,
            **_spread("paired", self.baselines[self.best_baseline].field_minus_this),
            **_spread("gap_closed", e.gap_closed),
            **_spread("within_auroc", e.within_auroc),
            **_spread("ece", e.ece),
            "abstention_threshold": kept.threshold if kept else None,
            **_spread("abstention_coverage", kept.answered if kept else None),
            **_spread("abstention_error", kept.error if kept else None),
            "baselines": {
                name: {
                    **_spread("selection", one.selection),
                    **_spread("within_auroc", one.within_auroc),
                    **_spread("paired", one.field_minus_this),
                }
                for name, one in self.baselines.items()
            },
            "fingerprint_id": self.fingerprint_id,
            "weights_sha256": self.weights_sha256,
            "pool_sha256": self.pool_sha256,
        }

    def table(self, name: str) -> str:
        """The same for people."""
        e, kept = self.evaluation, self.abstention
        lines = [
            f"{name}: {e.mixed} mixed problems of {e.problems}, {e.candidates} candidates",
            f"  {'ranker':<16} {'selection on mixed':<22} Cost Field less this, paired",
            f"  {'Cost Field':<16} {_text(e.selection)}",
        ]
        lines += [
            f"  {rival:<16} {_text(one.selection):<22} {_text(one.field_minus_this, '+')}"
            for rival, one in self.baselines.items()
        ]
        lines.append(
            f"  gap closed {_text(e.gap_closed)}; AUROC within problems {_text(e.within_auroc)}; expected calibration "
            f"error {_text(e.ece)}"
        )
        if kept is None:
            lines.append("  abstention: the card has no bar, so every problem is answered")
        else:
            wrong = _text(kept.error) if kept.error else "none answered"
            lines.append(
                f"  abstention: P(pass) of the cheapest is at least {kept.threshold:.3f} in {_text(kept.answered)} of "
                f"all problems, of which wrong: {wrong}"
            )
        return "\n".join(lines)


def prove(field: CostField, pool: Examples, *, seed: int = 0) -> Proof:
    """Measure `field` on a labelled pool. Deterministic given the seed.

    Raises `FingerprintMismatch` for another kind of fingerprint, `LeakedProblems` when a problem or a near-duplicate
    was trained on, `InvalidExamples` (`TooFewProblems`) when all candidates share one verdict or problems are too few.
    """
    field.require_fingerprint(pool.fingerprint_id)
    require_trainable(pool, problems=MIN_PROBLEMS, mixed=MIN_MIXED)
    evaluation = field.evaluate(pool, seed=seed)
    usable = {name: one.selection.value for name, one in evaluation.baselines.items() if name != RANDOM}
    return Proof(
        evaluation=evaluation,
        baselines={**evaluation.baselines, ORACLE: _oracle(evaluation.selection)},
        best_baseline=max(usable, key=usable.__getitem__, default=RANDOM),
        abstention=_abstained(field, pool, seed),
        fingerprint_id=field.fingerprint_id,
        weights_sha256=field.card.weights_sha256,
        pool_sha256=pool.digest(),
    )


def _oracle(ours: Estimate) -> Compared:
    """Who knows the verdicts takes a right candidate of every mixed problem: that is what mixed means."""
    one = Estimate(value=1.0, low=1.0, high=1.0, n=ours.n)
    less = Estimate(value=ours.value - 1, low=ours.low - 1, high=ours.high - 1, n=ours.n)
    return Compared(selection=one, within_auroc=one, field_minus_this=less)


def _abstained(field: CostField, pool: Examples, seed: int) -> Abstained | None:
    bar = field.card.abstention.threshold if field.card.abstention else None
    if bar is None:
        return None
    says = field.estimate(pool)
    return measure_abstention(pool, says.cost, says.p_pass, bar, seed=seed, resamples=field.card.config.resamples)


def _spread(name: str, e: Estimate | None) -> dict[str, float | None]:
    values = (e.value, e.low, e.high) if e else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _text(e: Estimate, sign: str = "") -> str:
    return f"{e.value:{sign}.3f} [{e.low:{sign}.3f}, {e.high:{sign}.3f}]"
