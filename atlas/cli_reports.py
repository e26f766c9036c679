"""`atlas eval compare`, `report` and `view`: what finished runs say, for people, for CI and in a browser."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from atlas import cli_shared as shared
from atlas import console
from atlas.evals.commands import read_results
from atlas.evals.compare import compare
from atlas.evals.comparison import compared
from atlas.evals.evaluate import RESULTS
from atlas.evals.flips import Measured
from atlas.evals.report.page import render, write_report
from atlas.evals.report.serve import HOST, server
from atlas.evals.rows import CANDIDATES, PROBLEMS

Finished = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Against = Annotated[str | None, typer.Option(help="A run, or FOLDER:RANKER, that this one is held against.")]


@console.guarded
def eval_compare(
    a: Annotated[str, typer.Argument(help="Folder of a run, or FOLDER:RANKER for one of its rankers.")],
    b: Annotated[str, typer.Argument(help="What is held against it, named the same way.")],
    fail_under: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 7 where B's pass@1 is below this.")
    ] = None,
    as_json: shared.Json = False,
) -> None:
    """Is B better than A? Paired by problem. Exit code 7 where B is shown to be worse in some metric."""
    found = compare(Measured.read(a), Measured.read(b), fail_under=fail_under)
    console.say(compared(found))
    if as_json:
        console.put(found.model_dump(mode="json"))
    raise typer.Exit(0 if found.ok else console.REGRESSION)


@console.guarded
def eval_report(folder: Finished, against: Against = None, as_json: shared.Json = False) -> None:
    """Write report.html into the run's folder: one file with every figure, chart and mistake; needs no network."""
    path = write_report(folder, against)
    console.say(f"wrote {path}")
    if as_json:
        files = {"results": folder / RESULTS, "problems": folder / PROBLEMS, "candidates": folder / CANDIDATES}
        told = {"report": str(path), "bytes": path.stat().st_size, **{k: str(v) for k, v in files.items()}}
        console.put(told | {"loops": {name: one.headline() for name, one in read_results(folder).loops.items()}})


@console.guarded
def eval_view(
    folder: Finished,
    against: Against = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On loopback; 0 takes a free one.")] = 0,
) -> None:
    """Show the report in a browser: serves that one page on this machine's loopback, until Ctrl-C."""
    with server(render(folder, against), port) as served, contextlib.suppress(KeyboardInterrupt):
        console.write(f"http://{HOST}:{served.server_port}/")
        sys.stdout.flush()
        served.serve_forever()
