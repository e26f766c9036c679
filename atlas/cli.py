"""The command line: parse, call, print. The one module of this package that knows the HTTP service, to start it."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

import api
from api import checks as api_checks
from api import endings
from api.render import result_of
from api.schemas import TaskRequest, TaskSpec
from atlas import console, doctor, models, settings, wiring
from atlas.cli_costfield import costfield_app
from atlas.cli_eval import eval_app
from atlas.cli_label import label_command, rename_command
from atlas.errors import ConfigError, SolveInterrupted
from atlas.observe import Event
from atlas.types import Solution, Status

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True,
    help="Turns a coding task into a program that has been checked.",
)
models_app = typer.Typer(no_args_is_help=True, help="Model files for the embedded engine.")
app.add_typer(models_app, name="models")
app.add_typer(costfield_app, name="costfield")
app.add_typer(eval_app, name="eval")
app.command("label")(label_command)
costfield_app.command("rename")(rename_command)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
_CODES = {Status.VERIFIED: 0, Status.UNCHECKED: 0, Status.UNSOLVED: console.UNSOLVED,
          Status.TIMED_OUT: console.DEADLINE}


@app.command()
@console.guarded
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
) -> None:
    """Serve the HTTP API until Ctrl-C."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    config = settings.load(**({"api": given} if given else {}))
    logging.getLogger("atlas").setLevel(logging.INFO)
    kind, why = wiring.choose_sandbox(config)
    console.say(f"opening the model and the {kind} sandbox ({why}) …")
    s = config.api
    api.serve(
        api.ApiConfig(
            database_path=config.database, host=s.host, port=s.port, api_keys=s.api_keys,
            allowed_hosts=s.allowed_hosts, workers=s.workers, max_queued=s.max_queued,
        ),
        lambda: wiring.open_service(config),
        on_listening=lambda url: console.say(f"listening on {url}"),
    )


@app.command()
@console.guarded
def solve(
    prompt: Annotated[str | None, typer.Argument(help="The task in words; - reads it from standard input.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="A task as JSON, like POST /v1/tasks.")] = None,
    check: Annotated[list[str] | None, typer.Option(help="A check such as 'f(2) == 4'. May be repeated.")] = None,
    hidden: Annotated[list[str] | None, typer.Option(help="A check that the model never sees.")] = None,
    entry_point: Annotated[str | None, typer.Option(help="Name that the program must define.")] = None,
    candidates: Annotated[int | None, typer.Option("-n", help="Candidates in each round.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds at most.")] = None,
    seed: Annotated[int, typer.Option(help="First seed.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the program to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Solve one task here, without a service. The program goes to stdout; the exit code is 0 only if it passed."""
    config = settings.load()
    body: dict[str, Any] = _read_task(prompt, file)
    extra = {"checks": check, "hidden_checks": hidden, "entry_point": entry_point, "seed": seed or None}
    body |= {name: value for name, value in extra.items() if value}
    budget = {"candidates": candidates, "rounds": rounds}
    if isinstance(given := body.get("budget", {}), dict):  # anything else is refused below, by its name
        body["budget"] = given | {k: v for k, v in budget.items() if v is not None}
    spec = _spec(body, config)
    solution, info, code = anyio.run(_solve, config, spec)
    shown = result_of(solution, spec.n_visible, info)
    if as_json:
        console.put({"outcome": solution.status.value, **shown.model_dump(mode="json")})
    elif solution.program is not None:
        console.write(solution.program.source.rstrip())
    spent = f"{solution.sandbox_runs} sandbox runs, {solution.usage.total} tokens"
    console.say(f"{solution.status.value}: {spent}; {solution.reason}")
    if out is not None and solution.program is not None:  # last: a file that cannot be written loses no program
        out.write_text(solution.program.source, encoding="utf-8")
    raise typer.Exit(code)


def _read_task(prompt: str | None, file: Path | None) -> dict[str, Any]:
    if (prompt is None) == (file is None):
        raise typer.BadParameter("give the task in words, or a file with -f; not both")
    if file is None:
        return {"prompt": sys.stdin.read() if prompt == "-" else prompt}
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise typer.BadParameter(f"{file} cannot be read as JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise typer.BadParameter(f"{file} holds no JSON object")
    return body


def _spec(body: dict[str, Any], config: settings.Settings) -> TaskSpec:
    try:
        spec, _ = api_checks.read(TaskRequest.model_validate(body), config.budget)
    except (ValidationError, RequestValidationError) as exc:
        error = exc.errors()[0]
        where = "/".join(str(part) for part in error["loc"] if part != "body")
        raise typer.BadParameter(f"{where}: {error['msg']}") from exc
    return spec


async def _solve(config: settings.Settings, spec: TaskSpec) -> tuple[Solution, dict[str, object], int]:
    """How the task ended, what solved it, and the exit code: that of the cause where infrastructure ended it."""
    async with wiring.open_service(config) as service:
        for part in ("isolation", "ranker", "policy"):
            if because := service.info.get(f"{part}_because"):
                console.say(f"{part}: {service.info[part]}, because {because}")
        task = spec.task(f"task-{uuid.uuid4().hex}")
        try:
            solution = await service.solve(
                task, hidden=spec.hidden_checks, budget=spec.budget, seed=spec.seed, observe=_tell
            )
        except SolveInterrupted as exc:
            console.say(f"error: {exc}")
            return endings.told(exc, spec), dict(service.info), console.code_of(exc.__cause__)
        return solution, dict(service.info), _CODES.get(solution.status, console.INTERNAL)


def _tell(event: Event) -> None:
    facts = ", ".join(f"{k} {v}" for k, v in event.data.items() if isinstance(v, str | int | float) and v != "")
    console.say(f"{event.name}: {facts}")


@app.command("doctor")
@console.guarded
def doctor_command(as_json: Json = False) -> None:
    """Name each part that Atlas needs, and the exact fix for what is missing. Exit code 0 where nothing needed is."""
    parts = doctor.examine(settings.load())
    fine = all(part.ok or not part.needed for part in parts)
    if as_json:
        console.put({"ok": fine, "parts": [dataclasses.asdict(part) for part in parts]})
    else:
        for part in parts:
            mark = "ok     " if part.ok else "MISSING" if part.needed else "without"
            console.write(f"{mark}  {part.name:<11} {part.found}" + ("" if part.ok else f"\n         fix: {part.fix}"))
    raise typer.Exit(0 if fine else console.CONFIG)


@models_app.command("pull")
@console.guarded
def models_pull(
    name: Annotated[str, typer.Argument(help="A name that `atlas models ls` shows.")] = models.DEFAULT,
    force: Annotated[bool, typer.Option(help="Fetch it again, whatever is there.")] = False,
) -> None:
    """Fetch a model file, and prove its sha256."""
    with console.Downloading() as shown:
        path = models.pull(name, cache_dir=settings.load().cache, progress=shown, force=force)
    console.write(str(path))


@models_app.command("ls")
@console.guarded
def models_ls(as_json: Json = False) -> None:
    """List the models that can be pulled, and which are here."""
    cache = settings.load().cache
    rows = []
    for model in models.CATALOGUE.values():
        try:
            here: str | None = str(models.locate(model.name, cache_dir=cache))
        except ConfigError:
            here = None
        rows.append({"name": model.name, "bytes": model.bytes, "sha256": model.sha256, "path": here})
    if as_json:
        console.put(rows)
    for row in [] if as_json else rows:
        console.write(f"{row['name']}  {'here' if row['path'] else 'not pulled'}")


if __name__ == "__main__":
    app()
