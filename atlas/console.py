"""What commands share: data on stdout, everything else on stderr, one sentence and an exit code for what goes wrong."""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from atlas.downloads import Progress as Step
from atlas.errors import AtlasError, ConfigError, ModelError
from costfield.errors import CostFieldError
from sandbox.errors import InvalidCheck, SandboxError

INTERNAL, USAGE, UNSOLVED, MODEL, SANDBOX, REGRESSION, CONFIG, DEADLINE, INTERRUPTED = 1, 2, 3, 4, 5, 7, 8, 124, 130
_ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

err = Console(stderr=True, highlight=False)
Command = TypeVar("Command", bound=Callable[..., Any])

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (InvalidCheck, USAGE), (ConfigError, CONFIG), (ModelError, MODEL), (SandboxError, SANDBOX),
    (CostFieldError, CONFIG), (AtlasError, INTERNAL), (KeyboardInterrupt, INTERRUPTED), (OSError, INTERNAL),
)


def safe(text: str) -> str:
    """`text` of a hostile program or model, without what a terminal would obey."""
    return _ESCAPES.sub("\N{REPLACEMENT CHARACTER}", text)


def say(message: str) -> None:
    """One line for people, on stderr."""
    err.print(safe(message), markup=False, soft_wrap=True)


def put(value: object) -> None:
    """One JSON object as one line on stdout. What a terminal would obey is written as JSON's own escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(_ESCAPES.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()


def write(text: str) -> None:
    """Text on stdout, safe for a terminal."""
    sys.stdout.write(safe(text) + "\n")


def code_of(exc: BaseException | None) -> int:
    """The exit code for what went wrong: by who has to act on it."""
    return next((code for kind, code in _CODES if isinstance(exc, kind)), INTERNAL)


def guarded(command: Command) -> Command:
    """Turn the errors that a user can do something about into one sentence and the exit code that README lists."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        try:
            return command(*args, **kwargs)
        except tuple(kind for kind, _ in _CODES) as exc:
            code = code_of(exc)
            say("interrupted" if code == INTERRUPTED else f"error: {exc}")
            raise typer.Exit(code) from exc
        except BaseExceptionGroup as group:
            known = group.subgroup(tuple(kind for kind, _ in _CODES))
            if known is None:
                raise
            first = _leaf(known)
            say(f"error: {first}")
            raise typer.Exit(code_of(first)) from group

    return run  # type: ignore[return-value]


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first


class Downloading:
    """Shows download steps on stderr: a bar on a terminal, a line every tenth elsewhere. Call it with each step."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=err
        )
        self._tasks: dict[str, Any] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Downloading:
        if err.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        if step.note:
            say(step.note)
        if err.is_terminal:
            if step.step not in self._tasks:
                self._tasks[step.step] = self._bar.add_task(step.step, total=step.total or None)
            self._bar.update(self._tasks[step.step], completed=step.done)
            return
        tenth = 10 * step.done // step.total if step.total else 0
        if self._told.get(step.step) != tenth:
            self._told[step.step] = tenth
            say(f"{step.step}: {step.done / 1e6:.0f} of {step.total / 1e6:.0f} MB")
