"""A book of verdicts on samples: one line each, appended as they come, so that a grading that was killed goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from atlas.errors import ConfigError
from sandbox.types import Frozen, Integrity, Outcome


class Judged(Frozen):
    """One sample's verdict, a line of the book. `program` and `checks` are SHA-256: equal ones need no second run."""

    line: int = Field(ge=1)
    task_id: str
    program: str
    checks: str
    outcome: Outcome
    passed: bool
    near_limit: bool
    integrity: Integrity
    isolation: str
    message: str
    cpu_s: float
    wall_s: float


@dataclass(slots=True, kw_only=True)
class Book:
    """Verdicts that are known. With a path, they are read from there, and new ones are appended."""

    path: Path | None = None
    lines: dict[int, Judged] = field(default_factory=dict)
    known: dict[tuple[str, str, str], Judged] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path | None) -> Book:
        """Read what is there; a last line that a killed process left unfinished is cut off. Raises ConfigError."""
        book = cls(path=path)
        if path is None or not path.exists():
            return book
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                book.note(Judged.model_validate_json(line))
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise ConfigError(f"{path}, line {number} is no verdict of a sample: {reason}; name another") from error
        if len(whole) < len(data):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        return book

    def note(self, one: Judged) -> None:
        self.lines[one.line] = one
        self.known[one.program, one.checks, one.isolation] = one

    def add(self, found: Iterable[Judged]) -> None:
        """Note verdicts and append them to the file."""
        new = [one for one in found if self.lines.get(one.line) != one]
        for one in new:
            self.note(one)
        if self.path is not None and new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{one.model_dump_json()}\n" for one in new))
