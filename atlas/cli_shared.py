"""What the commands of the laboratory share: their options, a plan, the parts they work with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from atlas import settings, wiring
from atlas.evals import commands
from atlas.evals.alone import AsksAgain
from atlas.evals.stages import Concurrency
from atlas.fingerprint import ModelFingerprinter
from atlas.protocols import LLM
from sandbox.types import Sandbox

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, as the last line of stdout.")]
Data = Annotated[list[Path] | None, typer.Option(help="Folder in which data sets' files may lie. May be repeated.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many problems.")]
Each = Annotated[int, typer.Option("-k", min=1, max=256, help="Completions for each problem.")]
Temperature = Annotated[float, typer.Option(min=0, help="Of sampling.")]

REUSE = 100
"""Programs per container where all are one tenant's: a new container for each would be most of the time."""


def plan(
    config: settings.Settings, problems: list[str], folder: Path, data: list[Path] | None, limit: int | None, k: int,
    temperature: float,
) -> commands.Plan:
    return commands.Plan(
        datasets=tuple(problems), folder=folder, data=(*(data or ()), *config.data_dir), cache=config.cache,
        limit=limit, k=k, temperature=temperature, max_tokens=config.llm.max_tokens, limits=limits(config),
    )


def limits(config: settings.Settings) -> Concurrency:
    """How much each stage does at a time."""
    return Concurrency(
        model=config.evals.model_concurrency, fingerprint=config.evals.fingerprint_concurrency,
        sandbox=config.sandbox.concurrency,
    )


@asynccontextmanager
async def parts(
    config: settings.Settings, *, reuse: int = REUSE
) -> AsyncIterator[tuple[LLM, ModelFingerprinter, Sandbox]]:
    """The parts that evaluations take; a container judges up to `reuse` programs, or more where settings say so."""
    several = config.sandbox.model_copy(update={"reuse": max(reuse, config.sandbox.reuse)})
    config = config.model_copy(update={"sandbox": several})
    async with wiring.open_llm(config) as llm, wiring.open_sandbox(config) as sandbox:
        yield llm, ModelFingerprinter.best(llm), AsksAgain(sandbox=sandbox)
