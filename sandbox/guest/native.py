"""Runs programs of other languages than Python: check or compile the source, then become it. Standard library only."""

from __future__ import annotations

import os
import subprocess

from sandbox.guest.encode import encode, sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# language: (file, command that only reads the source, command that runs it)
TOOLS = {
    "javascript": ("main.js", ["/usr/bin/node", "--check", "main.js"], ["/usr/bin/node", "main.js"]),
    "bash": ("main.sh", ["/bin/bash", "-n", "main.sh"], ["/bin/bash", "main.sh"]),
    "cpp": ("main.cpp", ["/usr/bin/g++", "-std=c++17", "-O2", "-o", "main", "main.cpp"], ["./main"]),
}
MAX_TEXT = 4_000


def runner(language: str) -> Callable[[str, str, dict[str, object], int], None]:
    """The `run_step` for programs in `language`; see `sandbox.guest.child.run_step` for the frames."""
    file, check, run = TOOLS[language]

    def run_step(source: str, kind: str, payload: dict[str, object], result_fd: int) -> None:
        with open(file, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(source)
        done = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            text = (done.stderr or done.stdout).decode("utf-8", "backslashreplace")[:MAX_TEXT].strip()
            _send(result_fd, [encode("syntax"), encode(text or "the source cannot be read")])
        elif kind == "stdio":
            os.execv(run[0], run)  # the result channel closes with it: what counts is the output and the exit status
        else:
            _send(result_fd, [encode("end"), sequence(b"l", [])])

    return run_step


def _send(fd: int, parts: list[bytes]) -> None:
    body = sequence(b"t", parts)
    os.write(fd, len(body).to_bytes(4, "little") + body)
