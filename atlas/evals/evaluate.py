"""`atlas eval run` in pool mode: every candidate is graded, and every ranker chooses from the same pool."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from atlas.evals.asked import Asked
from atlas.evals.fingerprints import RecordedFingerprints
from atlas.evals.loop_results import read_loops
from atlas.evals.pool import Pool
from atlas.evals.problems import Excluded, Problem
from atlas.evals.progress import Progress
from atlas.evals.results import Results, summary
from atlas.evals.rows import Rows
from atlas.evals.run import Run
from atlas.evals.score import Contender, score
from atlas.evals.stages import Concurrency, Outcome, Parts, Stages
from atlas.features import SCALARS
from atlas.rank import BASELINES, ColumnRanker, CostFieldRanker, baseline
from costfield.field import CostField
from costfield.shards import replace_file

RESULTS = "results.json"


def contenders(field: CostField | None, leader: str = "") -> tuple[Contender, ...]:
    """The Cost Field, where there is one, and the baselines beside it. Random choice is computed, not drawn.

    `leader` comes first, which is the one that the others are compared with; without it, the first there is.
    Longest is here and in no setting: it shows what length alone says, and nobody would serve with it.
    """
    rankers = [
        Contender(name=name, id=",".join(SCALARS), open=lambda _, name=name: baseline(name))  # type: ignore[misc]
        for name in BASELINES if name != "random"
    ]
    longest = ColumnRanker(name="longest", column="chars", sign=-1.0)
    rankers.append(Contender(name=longest.name, id=",".join(SCALARS), open=lambda _: longest))
    if field is not None:
        own = Contender(
            name="cost-field", id=field.card.weights_sha256, open=lambda made: CostFieldRanker.open(made, field)
        )
        rankers.insert(0, own)
    return tuple(sorted(rankers, key=lambda one: one.name != leader))


async def run_pool(
    run: Run, problems: Sequence[Problem], parts: Parts, field: CostField | None, *,
    limits: Concurrency | None = None, progress: Progress | None = None, excluded: Sequence[Excluded] = (),
    leader: str = "",
) -> Results:
    """Do what is missing of the run, measure it, and keep `results.json` in its folder.

    `excluded` are problems that the caller could not even begin with; they are named with the others in the results.
    Raises RunStopped, ConfigError, FingerprintMismatch where the field was trained on other fingerprints.
    """
    progress = progress or Progress(total=len(problems))
    outcome = await Stages(run, parts, limits or Concurrency()).all(problems, progress)
    return await measure(run, replace(outcome, excluded=(*excluded, *outcome.excluded)), field, leader)


async def measure(run: Run, outcome: Outcome, field: CostField | None, leader: str = "") -> Results:
    """Score and measure what a run has graded, and keep rows and results in its folder. Generates and runs nothing."""
    pool = Pool.read(run, outcome.done)
    recorded = RecordedFingerprints.of(run, outcome.done)
    rows = Rows.of(pool, [await score(run, pool, contender, recorded) for contender in contenders(field, leader)])
    found = summary(
        rows, run.config, provenance(run, recorded.id, field),
        excluded={one.id: one.reason for one in outcome.excluded},
        infrastructure={one.id: one.message for one in outcome.troubles},
    )
    found = found.model_copy(update={"loops": read_loops(run)})
    rows.write(run.folder)
    replace_file(run.folder / RESULTS, (found.model_dump_json(indent=2) + "\n").encode())
    return found


def provenance(run: Run, fingerprint_id: str, field: CostField | None) -> dict[str, str]:
    """What the figures were made with. The run's configuration, which has the model's hash, stands beside it."""
    asked = Asked.read(run.folder)
    return {
        "model": asked.model if asked else "", "quantisation": asked.quantisation if asked else "",
        "engine": asked.engine if asked else "", "fingerprint_id": fingerprint_id,
        "cost_field": "" if field is None else field.card.weights_sha256,
        "atlas": importlib.metadata.version("atlas-costfield"), "python": platform.python_version(),
        "numpy": np.__version__, "machine": f"{platform.system()} {platform.machine()}",
    }
