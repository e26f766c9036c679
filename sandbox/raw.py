"""What a guest reports of one process it ran: facts only, no opinion.

A guest (the Docker supervisor, the WebAssembly runner) runs one step in one fresh process and fills in a `Raw`.
`sandbox.checks` reads it on the host and decides what became of the check. Everything in here is hostile except the
facts that the supervisor itself measured (`exit`, `exit_code`, `signal`, times, memory, counts).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Exit(StrEnum):
    """How the process ended. A limit that was hit wins over the exit code that followed from it."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMEOUT = "timeout"
    CPU = "cpu"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    NOT_STARTED = "not_started"


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One process, as its guest saw it. Bytes are as the program wrote them, at most the limit's length."""

    exit: Exit
    exit_code: int | None = None
    """Exit status where `exit` is EXITED."""
    signal: int | None = None
    """Signal number where `exit` is SIGNALLED."""
    result: bytes | None = None
    """Everything that was written to the result channel, or None where nothing was. Hostile: decode it strictly."""
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    """Output was longer than the limit: `stdout` or `stderr` is a head, a marker line and a tail."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """User and system time of the process and of the children it waited for."""
    peak_memory_mb: float | None = None
    """Largest resident set of one process of the step, in MiB; None where the guest cannot tell."""
    leftover_processes: int = 0
    """Processes that were still alive when the first one had ended. They have been killed."""
    pids_hit: bool = False
    """The limit on processes was reached."""
    tampered: str = ""
    """Why the guest says that the program attacked the protocol; empty where it did not."""
