"""Where in a request something is wrong, as RFC 6901 pointers."""

from __future__ import annotations

from collections.abc import Sequence

MAX_ERRORS = 50


def pointer(loc: Sequence[int | str], body: object) -> str:
    """Turn a validator's location into a pointer into `body`; query, path and header names become ``#name``.

    The validator names the chosen member of a union after an array index ("checks", 0, "call", "expected"); the
    document has no such step, so it is left out.
    """
    source, *steps = loc
    if source != "body":
        return "#" + "/".join(str(step) for step in steps)
    parts: list[str] = []
    here = body
    for before, step in zip([None, *steps], steps, strict=False):
        if isinstance(before, int) and isinstance(step, str):
            if not isinstance(here, dict):
                break
            if step == here.get("kind", step):
                continue
        parts.append(str(step).replace("~", "~0").replace("/", "~1"))
        here = _child(here, step)
    return "".join(f"/{part}" for part in parts)


def _child(value: object, step: int | str) -> object:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None
