"""A run: a folder of files, one for each problem and stage, that says by itself what is done.

    run.json                       what the run is: data sets, model, sampling; another configuration is refused
    completions/<problem>.parquet  what the model said
    fingerprints/<problem>.parquet
    grades/<problem>.parquet       the verdict of every candidate
    scores/<ranker>.parquet        the cost of every candidate
    results.json                   what came of it

Each file is written whole under another name, synced and renamed, so that a run killed at any point holds whole files
only, and doing it again does what is missing. Two processes cannot work on one run: the second is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from atlas.errors import ConfigError
from atlas.evals.problems import Problem
from costfield.shards import replace_file
from sandbox.types import Frozen

CONFIG = "run.json"
LEFTOVERS = (".part", ".tmp")
LEFT_FOR_DEAD_S = 600.0
LONGEST_NAME = 180
"""Bytes of a file name before its suffix; file systems take 255."""


class RunConfig(Frozen):
    """What a run is made with. Files made under one configuration are never mixed with another's."""

    schema_version: Literal[1] = 1
    datasets: dict[str, str] = Field(description="SHA-256 of each data set's content, by name.")
    model: str = Field(description="SHA-256 of the model's weights where the server gives it, else its name.")
    prompt_version: str
    k: int = Field(ge=1, le=256, description="Completions for each problem.")
    temperature: float = Field(ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(ge=1)
    seed: int = 0
    greedy_first: bool = Field(default=False, description="Whether a problem's first completion is at temperature 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An open run: its folder and its configuration."""

    folder: Path
    config: RunConfig

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path, config: RunConfig) -> Iterator[Run]:
        """Begin the run in `folder`, or go on with it. What a killed process left half-written is cleared away.

        Raises ConfigError where the folder holds a run of another configuration, or another process works on it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(f"another process works on {folder}; wait for it, or name another folder") from error
            for left in folder.rglob("*"):
                if left.suffix in LEFTOVERS and left.is_file() and left.stat().st_mtime < time.time() - LEFT_FOR_DEAD_S:
                    left.unlink()
            config = _agreed(folder / CONFIG, config)
            replace_file(folder / CONFIG, (config.model_dump_json(indent=2) + "\n").encode())
            yield cls(folder=folder, config=config)

    @classmethod
    def read(cls, folder: Path) -> Run:
        """A run to read from. Raises ConfigError where there is none."""
        return cls(folder=folder, config=_stored(folder / CONFIG))

    def path(self, stage: Literal["completions", "fingerprints", "grades"], problem: Problem) -> Path:
        return self.folder / stage / f"{file_name(problem.id)}.parquet"

    def scores(self, ranker: str) -> Path:
        return self.folder / "scores" / f"{file_name(ranker)}.parquet"


def file_name(id_: str) -> str:
    """A file name for any id: slashes become underscores, what a file system may refuse is quoted, long ones hashed."""
    name = urllib.parse.quote(id_.replace("/", "_"), safe=" +=@,")
    name = re.sub(r"^\.", "%2E", name)
    if len(name) > LONGEST_NAME:
        name = f"{name[:100]}-{hashlib.sha256(id_.encode()).hexdigest()[:32]}"
    return name


def require_distinct_files(problems: tuple[Problem, ...]) -> None:
    """Raise ConfigError where two problems would share one file, such as `a/b` and `a_b`."""
    seen: dict[str, str] = {}
    for problem in problems:
        other = seen.setdefault(file_name(problem.id), problem.id)
        if other != problem.id:
            raise ConfigError(f"problems {other!r} and {problem.id!r} would share one file; rename one of them")
    if len(seen) != len(problems):
        raise ConfigError("a problem is given twice; data sets of one run must not overlap")


def _agreed(path: Path, config: RunConfig) -> RunConfig:
    """The stored configuration with the new data sets added; ConfigError where anything else differs."""
    if not path.exists():
        return config
    old, new = _stored(path), config
    differing = [
        f"{name} was {getattr(old, name)!r} and is now {getattr(new, name)!r}"
        for name in RunConfig.model_fields if name != "datasets" and getattr(old, name) != getattr(new, name)
    ]
    differing += [
        f"{name} is another file than before" for name in old.datasets.keys() & new.datasets.keys()
        if old.datasets[name] != new.datasets[name]
    ]
    if differing:
        raise ConfigError(
            f"{path.parent} was begun otherwise: {'; '.join(differing)}. Name another folder, or go on as it was begun"
        )
    return old.model_copy(update={"datasets": old.datasets | new.datasets})


def _stored(path: Path) -> RunConfig:
    try:
        return RunConfig.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path.parent} holds no run: there is no {CONFIG} in it") from None
    except ValidationError as error:
        raise ConfigError(f"{path} cannot be read: {error.errors()[0]['msg']}") from error
