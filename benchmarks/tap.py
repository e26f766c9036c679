"""What taking states from the middle of the model costs: steps of the decoder with its tap, over steps without any.

    python benchmarks/tap.py [--json] [--steps 40] [--completions 8] [--threads 2]

Two contexts of the configured embedded model in one process take turns, each first as often as the other, so that a
busy machine disturbs both alike. A step decodes one token of each completion, behind a prompt of 100 tokens.

    tap_over_plain   median over pairs of steps: with tap and states taken, over a context that has no callback at all
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any
from unittest import mock

from atlas import models, settings
from atlas.errors import AtlasError
from atlas.llm import decoder as engine
from atlas.llm.decoder import Decoder
from atlas.llm.llamacpp import EVAL_CALLBACK
from atlas.llm.tap import Tap

PROMPT = 100


class NoTap(Tap):
    """Hangs no callback into the graph."""

    def __init__(self, lib: Any, *, layer: int, rows: int, width: int) -> None:
        super().__init__(lib, layer=layer, rows=rows, width=width)
        self.callback = EVAL_CALLBACK()  # a null pointer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object, as the last line")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--completions", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    try:
        found = measure(given.steps, given.completions, given.threads)
    except AtlasError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(json.dumps(found) if given.json else "\n".join(f"{name:20} {value:.5g}" for name, value in found.items()))


def measure(steps: int, completions: int, threads: int) -> dict[str, float]:
    """Milliseconds are medians of a step."""
    config = settings.load()
    model = models.verified(config.llm.model or models.DEFAULT, cache_dir=config.cache).path
    decoders = []
    for tap in (Tap, NoTap):
        with mock.patch.object(engine, "Tap", tap):
            n_ctx = PROMPT + steps * completions
            decoders.append(Decoder(model, n_ctx=n_ctx, slots=completions, threads=threads, library=config.llm.library))
    tapped, plain = decoders
    if not tapped.gives_states or plain.gives_states:
        sys.exit("the two contexts do not differ as they should: nothing was measured")
    for one in decoders:
        one._decode([(100 + i, i, 0, False) for i in range(PROMPT)])
        for sequence in range(1, completions):
            one._lib.llama_memory_seq_cp(one._memory, 0, sequence, -1, -1)
    pairs = []
    for turn in range(steps):
        took = {one: step(one, turn, completions) for one in (decoders if turn % 2 else decoders[::-1])}
        pairs.append((took[tapped], took[plain]))
    return {
        "steps": steps,
        "completions": completions,
        "tapped_milliseconds": 1000 * statistics.median(a for a, _ in pairs),
        "plain_milliseconds": 1000 * statistics.median(b for _, b in pairs),
        "tap_over_plain": statistics.median(a / b for a, b in pairs),
    }


def step(one: Decoder, turn: int, completions: int) -> float:
    """Seconds that one token of each completion takes."""
    begin = time.perf_counter()
    one._decode([(200 + s, PROMPT + turn, s, True) for s in range(completions)], states=one.gives_states)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
