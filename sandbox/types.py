"""What the sandbox takes in and what it says: programs, checks, limits, verdicts.

The package knows programs and checks. It knows nothing of tasks or language models.
Everything here crosses a process boundary, so everything is a frozen pydantic model that refuses unknown fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

Language = Literal["python", "javascript", "cpp", "bash"]
Integrity = Literal["strong", "weak"]


class Frozen(BaseModel):
    """Base of every record that crosses a process boundary: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Program(Frozen):
    """One program to be judged. Hostile until proven otherwise."""

    source: str = Field(max_length=1_000_000)
    language: Language = "python"


class CallCheck(Frozen):
    """Call a function of the program and compare what it returns, on the host.

    `call` is one Python call expression, for instance ``f(2, [1, 2])``; `expected` is a Python literal (plus the
    few constructors that `sandbox.checks` names, such as ``set()`` or ``float('inf')``). The guest is given the call
    and never the expected value.
    """

    kind: Literal["call"] = "call"
    call: str = Field(max_length=1_000_000)
    expected: str = Field(default="None", max_length=1_000_000)
    compare: Literal[
        "equal", "not_equal", "is", "is_not", "in", "not_in", "close", "unordered", "any_of", "truthy", "falsy",
        "less", "less_equal", "greater", "greater_equal", "raises", "isinstance",
    ] = "equal"
    rel_tol: float = Field(default=1e-9, ge=0.0, le=1.0, allow_inf_nan=False)
    abs_tol: float = Field(default=0.0, ge=0.0, allow_inf_nan=False, description="Infinity would pass any number.")
    setup: str = Field(default="", max_length=1_000_000, description="Statements run before the call.")


class StdioCheck(Frozen):
    """Feed `stdin`, compare standard output on the host: line by line, trailing white space ignored.

    With "decimals", white space before a line and empty lines at the begin are ignored too, and lines that hold
    numbers only are equal where the numbers are: ``0.50 3`` is ``0.5 3``.
    """

    kind: Literal["stdio"] = "stdio"
    stdin: str = Field(default="", max_length=4_000_000)
    stdout: str = Field(max_length=4_000_000)
    compare: Literal["lines", "decimals"] = "lines"


class AssertCheck(Frozen):
    """An assert script. Rewritten to call checks where it is pure; otherwise it runs under a judge, or is weak."""

    kind: Literal["assert"] = "assert"
    code: str = Field(min_length=1, max_length=1_000_000)


Check = Annotated[CallCheck | StdioCheck | AssertCheck, Field(discriminator="kind")]


class Limits(Frozen):
    """What one check of one program may use. Units are in the names."""

    wall_s: float = Field(default=5.0, gt=0, le=600)
    cpu_s: float = Field(default=5.0, gt=0, le=600)
    memory_mb: int = Field(default=256, ge=16, le=65_536)
    pids: int = Field(default=32, ge=1, le=4_096)
    output_bytes: int = Field(default=65_536, ge=1_024, le=16_777_216)
    disk_mb: int = Field(default=32, ge=1, le=4_096)


class Outcome(StrEnum):
    """What became of a program. Only PASS is a pass; SANDBOX_ERROR is ours and never counts against a program."""

    PASS = "PASS"
    FAIL = "FAIL"
    ERROR = "ERROR"
    SYNTAX = "SYNTAX"
    TIMEOUT = "TIMEOUT"
    CPU_LIMIT = "CPU_LIMIT"
    OOM = "OOM"
    OUTPUT_LIMIT = "OUTPUT_LIMIT"
    CRASH = "CRASH"
    NO_VERDICT = "NO_VERDICT"
    TAMPERED = "TAMPERED"
    SANDBOX_ERROR = "SANDBOX_ERROR"


class CheckResult(Frozen):
    """What became of one check. Texts are bounded, and come from a hostile program: show them escaped."""

    index: int = Field(ge=0, description="Position in the sequence of checks that was passed to `run`.")
    outcome: Outcome
    integrity: Integrity = "strong"
    shown: str = Field(default="", description="The check as one line of source, for people and for the model.")
    expected: str | None = None
    actual: str | None = None
    message: str = Field(default="", description="Exception type and text, or why there is no verdict.")
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mb: float | None = None
    leftover_processes: int = 0
    hidden: bool = Field(default=False, description="Set by the caller for checks whose content must not be shown.")


class Verdict(Frozen):
    """What the sandbox found out about one program. `outcome` is that of the first check that did not pass."""

    outcome: Outcome
    isolation: str = Field(description="What kept the program in: docker, docker+gvisor or wasm.")
    integrity: Integrity = "strong"
    checks: tuple[CheckResult, ...] = ()
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mb: float | None = None
    message: str = ""

    @property
    def passed(self) -> bool:
        """True only where the program ran and every check passed."""
        return self.outcome is Outcome.PASS


@runtime_checkable
class Sandbox(Protocol):
    """Runs one program against checks. Two implementations, one contract suite (tests/contract)."""

    @property
    def isolation(self) -> str:
        """Name of the isolation that verdicts of this sandbox carry."""
        ...

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        """Judge `program`; stop at the first check that does not pass. With no checks, load the program once.

        A failed program is a value. Raises SandboxUnavailable where the sandbox itself cannot work, SandboxBusy
        where its queue is full, InvalidCheck where a check cannot be read. Safe to cancel: nothing is left running.
        """
        ...

    async def aclose(self) -> None:
        """Stop everything this sandbox started."""
        ...
