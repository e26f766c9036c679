"""What the Cost Field adds to generation: fingerprints and costs, as a share of the time that the candidates took.

    python benchmarks/fingerprint_overhead.py [--json] [--tasks 3] [-k 4] [--max-tokens 256]

Real tasks (`examples/tasks.jsonl`), the configured model (by default the embedded one) and the configured field, in one
process, one task after the other. For each task the same seeds are sampled twice, with the states of every token handed
over and without; both orders alternate, so that a busy machine disturbs both alike.

    share_of_generation      fingerprint and cost, over generation with states: what serving pays
    states_over_plain        generation with states over generation without: above 1 is what handing them over costs
    second_pass_share        the same for a server that gives no states, where each candidate is read once more
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio

from atlas import models, settings, wiring
from atlas.errors import AtlasError
from atlas.evals import datasets
from atlas.extract import candidates
from atlas.fingerprint import ModelFingerprinter
from atlas.llm.client import OpenAIClient
from atlas.llm.endpoint import Timeouts
from atlas.llm.engine import EmbeddedEngine
from atlas.prompts import STOP, messages
from atlas.protocols import Sampling
from atlas.rank import CostFieldRanker
from atlas.types import Completion, Task

TASKS = Path(__file__).parents[1] / "examples" / "tasks.jsonl"


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """One task: generation with and without states, and what is done with the candidates."""

    generation: float
    plain: float
    fingerprint: float
    rank: float  # fingerprint and cost
    second_pass: float
    candidates: int
    tokens: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object, as the last line")
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("-k", type=int, default=4, help="completions for each task")
    parser.add_argument("--max-tokens", type=int, default=256)
    given = parser.parse_args()
    try:
        found = summary(anyio.run(measure, given.tasks, given.k, given.max_tokens))
    except AtlasError as error:  # no model, or a field for another one: the sentence says what to do
        sys.exit(f"{parser.prog}: {error}")
    print(json.dumps(found) if given.json else "\n".join(f"{name:20} {value:.5g}" for name, value in found.items()))


def summary(seconds: Sequence[Seconds]) -> dict[str, float]:
    """Ratios of sums over tasks: short tasks weigh little, as they do for who waits."""
    total = {name: sum(getattr(one, name) for one in seconds) for name in Seconds.__dataclass_fields__}
    cost = total["rank"] - total["fingerprint"]
    return {
        "tasks": len(seconds),
        "candidates": total["candidates"],
        "tokens": total["tokens"],
        "generation_seconds": total["generation"],
        "share_of_generation": total["rank"] / total["generation"],
        "share_of_generation_most": max(one.rank / one.generation for one in seconds),
        "states_over_plain": total["generation"] / total["plain"],
        "milliseconds_per_candidate": 1000 * total["rank"] / total["candidates"],
        "second_pass_share": (total["second_pass"] + max(cost, 0)) / total["generation"],
    }


async def measure(tasks: int, k: int, max_tokens: int) -> list[Seconds]:
    """Run the first `tasks` tasks. One engine, two clients: one has the states sent along, the other does not."""
    config = settings.load()
    model = models.verified(config.llm.model or models.DEFAULT, cache_dir=config.cache)
    chosen = [problem.task for problem in datasets.load(str(TASKS)).problems[:tasks]]
    waits = Timeouts(read=1200, total=1200, deadline=2400)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            EmbeddedEngine.start(
                model.path,
                name=model.name,
                sha256=model.sha256,
                slots=max(k, 2),
                threads=config.llm.threads,
                library=config.llm.library,
            )
        )
        with_states, plain = [
            await stack.enter_async_context(
                await OpenAIClient.open(engine.base_url, engine.api_key, timeouts=waits, states=states)
            )
            for states in (True, False)
        ]
        own = ModelFingerprinter(llm=with_states, source="states")
        ranker = CostFieldRanker.open(own, wiring.open_field(config.cost_field, own))
        again = ModelFingerprinter(llm=with_states, source="embeddings")
        return [await one(task, i, (with_states, plain), ranker, again, k, max_tokens) for i, task in enumerate(chosen)]


async def one(
    task: Task,
    turn: int,
    clients: tuple[OpenAIClient, OpenAIClient],
    ranker: CostFieldRanker,
    again: ModelFingerprinter,
    k: int,
    max_tokens: int,
) -> Seconds:
    """One task, from prompt to costs."""
    sampling = Sampling(n=k, temperature=0.8, seed=turn, max_tokens=max_tokens, stop=STOP)
    took: dict[int, float] = {}
    made: dict[int, Sequence[Completion]] = {}
    for which in (0, 1) if turn % 2 else (1, 0):
        begin = time.perf_counter()
        made[which], _ = await clients[which].sample(messages(task), sampling)
        took[which] = time.perf_counter() - begin
    found = candidates(task, made[0])
    return Seconds(
        generation=took[0],
        plain=took[1],
        fingerprint=await timed(lambda: ranker.fingerprinter.fingerprints(task, found)),
        rank=await timed(lambda: ranker.rank(task, found)),
        second_pass=await timed(lambda: again.fingerprints(task, found)),
        candidates=len(found),
        tokens=sum(len(completion.logprobs or ()) for completion in made[0]),
    )


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds."""
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
