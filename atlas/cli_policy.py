"""`atlas eval policy` and `atlas eval loop`: what the loop solves and pays, on recorded candidates and for real."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
import typer

from atlas import cli_shared as shared
from atlas import console, settings, wiring
from atlas.errors import ConfigError
from atlas.evals import commands, policy_pools
from atlas.evals.loop_results import LoopResults
from atlas.evals.loop_results import table as loop_table
from atlas.evals.policy import PolicyComparison, Sees, compare_policies, contestants, table
from atlas.evals.replayed import Recorded
from atlas.evals.resume import stored_plan
from atlas.evals.run import Run
from atlas.policy import ExpectedCost
from atlas.solver import Warming
from costfield.field import CostField, read_card
from costfield.shards import MANIFEST

Pool = Annotated[Path, typer.Argument(help="Folder of a graded run, or of labelled shards.")]


@console.guarded
def eval_policy(
    folder: Pool,
    sees: Annotated[Sees, typer.Option(help="What the loop may see: every check, or those that prompts show.")] = "all",
    as_json: shared.Json = False,
) -> None:
    """Play the policy, as set, and fixed k on recorded candidates: tasks solved, tokens and runs. Nothing is run."""
    config = settings.load()
    console.say("playing; for shards that the Cost Field was trained from, its recipe is fitted anew for each fold …")
    found = anyio.run(_compare, config, folder, sees)
    console.say(table(found))
    if as_json:
        console.put(found.model_dump(mode="json"))


@console.guarded
def eval_loop(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that `atlas eval run` began.")],
    limit: shared.Limit = None,
    as_json: shared.Json = False,
) -> None:
    """Play the loop as a user gets it on the run's problems, the first round with the run's own candidates.

    Only visible checks reach it; what it hands out is judged by all of them. The same command goes on where it was.
    """
    config = settings.load()
    plan = stored_plan(folder, cache=config.cache)
    plan = plan if limit is None else replace(plan, limit=limit)

    async def work() -> LoopResults:
        async with shared.parts(config, reuse=1) as (_, fingerprinter, sandbox):
            solver, because = wiring.compose(config, fingerprinter, sandbox)
            console.say(f"policy {solver.policy.name}: {because}")
            as_run = replace(
                solver, temperature=Warming(start=plan.temperature, greedy_first=plan.greedy_first),
                max_tokens=plan.max_tokens,
            )
            return await commands.run_loops(plan, as_run, fingerprinter, sandbox, progress_to=sys.stderr)

    found = anyio.run(work)
    console.say(loop_table(found))
    if as_json:
        console.put(found.model_dump(mode="json"))


async def _compare(config: settings.Settings, folder: Path, sees: Sees) -> PolicyComparison:
    card = read_card(config.cost_field)
    field = CostField.load(config.cost_field, fingerprint_id=card.fingerprint_id)
    pool = _pool(config, folder, field, sees)
    siblings = card.siblings or await policy_pools.siblings(pool, field)
    p = config.policy
    own = ExpectedCost(
        siblings=siblings, run_price=p.run_price, token_price=p.token_price, group=p.group, false_pass=p.false_pass,
        least_p_pass=p.least_p_pass,
    )
    k = max(len(one.completions) for one in pool)
    return await compare_policies(pool, k, contestants(k, own), own, sees=sees)


def _pool(config: settings.Settings, folder: Path, field: CostField, sees: Sees) -> list[Recorded]:
    """Raises ConfigError where the folder holds no pool, or nothing of it is graded."""
    if (folder / MANIFEST).exists():
        if sees != "all":
            raise ConfigError(f"{folder} holds labels, which do not tell visible checks from hidden ones; name a run")
        return policy_pools.labelled_pool(folder, field)
    plan = stored_plan(folder, cache=config.cache)
    pool = policy_pools.run_pool(Run.read(folder), plan.problems(plan.load()), field)
    if not pool:
        raise ConfigError(f"nothing in {folder} is graded yet; go on with it: atlas eval resume {folder}")
    return pool
