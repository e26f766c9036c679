"""The hostile programs: one file each, with a header that says what it tries and what must become of it.

A header is the TOML in the lines that start with ``#| ``, at the top of the file. It is cut off before the program
runs, so a program that reads its own source does not find the expected value there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sandbox.types import Check, Integrity, Limits, Outcome, Program, Verdict

PROGRAMS = Path(__file__).parent / "programs"
MARK = "#| "
ISOLATIONS: tuple[Literal["docker", "wasm"], ...] = ("docker", "wasm")
LIMITS = Limits(wall_s=20, cpu_s=20, memory_mb=128, pids=24, disk_mb=16, output_bytes=16_384)
"""Long clocks, so that a crowded machine changes no verdict; programs that must run into one name a shorter one."""


class Case(BaseModel):
    """One hostile program. Without `checks`, ``f(2) == 4`` is asked of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    tries: str = Field(min_length=10, description="What the program is after, in a few words.")
    rows: tuple[int, ...] = Field(default=(), description="The rows of the study's table of hostile programs.")
    checks: tuple[Check, ...] = Field(default=(), validate_default=True)
    docker: tuple[Outcome, ...] = ()
    wasm: tuple[Outcome, ...] = Field(default=(), description="Empty where the attack needs what is not there.")
    message: str = Field(default="", description="A regular expression that the verdict's message must match.")
    wasm_message: str | None = None
    integrity: Integrity = "strong"
    leftovers: int = Field(default=0, description="At least so many processes have to be found and killed.")
    limits: dict[Literal["wall_s", "cpu_s"], float] = Field(
        default={}, description="Clocks only: other limits would need a container of their own, which would stay."
    )
    replace: dict[str, tuple[str, int]] = Field(default={}, description="Words that stand for a text, repeated.")

    @field_validator("checks", mode="before")
    @classmethod
    def _kinds(cls, checks: Any) -> Any:
        """A check's kind can be told from its fields."""
        kinds = {"call": "call", "stdout": "stdio", "code": "assert"}
        found = checks or ({"call": "f(2)", "expected": "4"},)
        return tuple({"kind": next(kinds[key] for key in check if key in kinds), **check} for check in found)

    @field_validator("docker", "wasm", mode="before")
    @classmethod
    def _one_or_several(cls, outcomes: Any) -> Any:
        return (outcomes,) if isinstance(outcomes, str) else outcomes

    def expected(self, isolation: str) -> tuple[Outcome, ...]:
        """The outcomes that the program deserves there; several only where the kernel may choose between them."""
        return self.docker if isolation == "docker" else self.wasm

    @property
    def program(self) -> Program:
        """The program as it is run."""
        source = self.source
        for word, (text, times) in self.replace.items():
            source = source.replace(word, text * times)
        return Program(source=source)

    def run_limits(self) -> Limits:
        """The suite's limits with the program's own in their place."""
        return Limits.model_validate(LIMITS.model_dump() | self.limits)

    def objection(self, verdict: Verdict, isolation: str) -> str:
        """What is wrong with a verdict; empty where the program got what it deserves."""
        wanted = self.expected(isolation)
        message = self.message if isolation == "docker" or self.wasm_message is None else self.wasm_message
        if verdict.passed and Outcome.PASS not in wanted:
            return "it passed"
        if verdict.outcome not in wanted:
            return f"{verdict.outcome}, not {shown(wanted)}"
        return self._small_print(verdict, message)

    def _small_print(self, verdict: Verdict, message: str) -> str:
        if verdict.integrity != self.integrity:
            return f"integrity is {verdict.integrity}"
        if not re.search(message, verdict.message, re.DOTALL):
            return f"the message {verdict.message!r} does not say {message!r}"
        if self.leftovers and max(check.leftover_processes for check in verdict.checks) < self.leftovers:
            return "processes that it left behind were not counted"
        return ""


def shown(outcomes: Sequence[Outcome]) -> str:
    """Outcomes for people."""
    return " or ".join(outcomes)


def read(file: Path) -> Case:
    """The case in one file. Raises ValueError where its header says something unknown or nothing."""
    header, lines = [], file.read_text(encoding="utf-8").splitlines(keepends=True)
    while lines and lines[0].startswith(MARK.strip()):
        header.append(lines.pop(0).removeprefix(MARK.strip()).strip())
    return Case(name=file.stem, source="".join(lines), **tomllib.loads("\n".join(header)))


CASES = tuple(read(file) for file in sorted(PROGRAMS.glob("*.py")))
