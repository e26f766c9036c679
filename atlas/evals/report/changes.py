"""How two programs differ, line by line. Programs are hostile text: whoever shows the lines escapes them."""

from __future__ import annotations

import difflib
from typing import Literal, NamedTuple

Kind = Literal["minus", "plus", "same", "gap"]
MOST_READ, MOST_LINES, MOST_CHARS = 1_000, 160, 300
"""Lines of a program that are compared, lines that are shown, and characters of a line."""
CONTEXT = 4
_KINDS: dict[str, Kind] = {"-": "minus", "+": "plus", " ": "same"}


class Line(NamedTuple):
    """One line: only in the first program, only in the second, in both, or a gap where nothing differs."""

    kind: Kind
    text: str


def changes(before: str, after: str) -> list[Line]:
    """The lines that differ, with `CONTEXT` lines around them; what is too long to show is said to be left out."""
    old, new = _lines(before), _lines(after)
    diff = list(difflib.unified_diff(old, new, n=CONTEXT, lineterm=""))[3:]  # without the names and the first place
    lines = [Line("gap", "…") if one.startswith("@@") else Line(_KINDS[one[0]], one[1:]) for one in diff]
    return _shown(lines or [Line("same", one) for one in old])


def _lines(source: str) -> list[str]:
    lines = [one if len(one) <= MOST_CHARS else f"{one[:MOST_CHARS]}…" for one in source.splitlines()]
    return lines[:MOST_READ]


def _shown(lines: list[Line]) -> list[Line]:
    left = len(lines) - MOST_LINES
    return lines if left <= 0 else [*lines[:MOST_LINES], Line("gap", f"{left} more lines are not shown")]
