"""What a running solver reports, made fit to be kept: scrubbed, bounded, and written in order."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.ports import Event
from api.store import NewEvent

MAX_EVENTS = 10_000
MAX_EVENT_CHARS = 262_144
MAX_STRING_CHARS = 20_000
MAX_DEPTH = 12

log = logging.getLogger("atlas.api")


class Outbox:
    """Events of one run that are not written yet.

    `filled` is set when there is something to take. Use it on the event loop's thread only.
    """

    def __init__(self, n_visible: int, *, has_hidden: bool) -> None:
        self.filled = asyncio.Event()
        self._scrubber = Scrubber(n_visible=n_visible, has_hidden=has_hidden)
        self._waiting: list[NewEvent] = []
        self._n = 0

    def put(self, event: Event) -> None:
        """Take one event, without waiting; past MAX_EVENTS they are dropped and the log says so."""
        self._n += 1
        if self._n > MAX_EVENTS:
            if self._n == MAX_EVENTS + 1:
                log.warning("a run reports too many events", extra={"action": "events_dropped", "event": event.name})
            return
        try:
            data = _bounded(self._scrubber.scrub(event.data))
        except TypeError as exc:  # an unfit event must not end the task that it tells of
            log.error("an event cannot be kept: %s", exc, extra={"action": "event_unfit", "event": event.name})
            data = json.dumps({"omitted": str(exc)})
        self._waiting.append(NewEvent(name=event.name[:64], data=data, at=time.time()))
        self.filled.set()

    def take(self) -> Sequence[NewEvent]:
        """All that waits; it is the caller's now."""
        self.filled.clear()
        taken, self._waiting = self._waiting, []
        return taken

    def give_back(self, events: Sequence[NewEvent]) -> None:
        """Put events that could not be written back in front."""
        self._waiting = [*events, *self._waiting]
        if self._waiting:
            self.filled.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubber:
    """Makes plain JSON of an event's data: without what tells of hidden checks or is not finite, strings bounded.

    Checks from index `n_visible` on are hidden, marked so or not.
    """

    n_visible: int
    has_hidden: bool

    def scrub(self, value: object, depth: int = 0) -> object:
        """Raises TypeError for what JSON has no word for."""
        if depth > MAX_DEPTH:
            return None
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return [self.scrub(item, depth + 1) for item in value]
        if isinstance(value, str):
            return str(value)[:MAX_STRING_CHARS]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if value is None or isinstance(value, (bool, int, float)):
            return value
        raise TypeError(f"an event holds a {type(value).__name__}, which JSON has no word for")

    def _mapping(self, value: Mapping[object, object], depth: int) -> dict[str, object]:
        if self._is_hidden(value):
            return {"index": value.get("index"), "outcome": str(value["outcome"]), "hidden": True}
        told = {str(key): self.scrub(item, depth + 1) for key, item in value.items()}
        if self.has_hidden and self._may_speak_of_hidden(value):
            told.pop("message", None)
        return told

    def _is_hidden(self, value: Mapping[object, object]) -> bool:
        """True for what became of a hidden check."""
        if "outcome" not in value or "index" not in value:
            return False
        index = value["index"]
        return value.get("hidden") is True or ("shown" in value and isinstance(index, int) and index >= self.n_visible)

    def _may_speak_of_hidden(self, value: Mapping[object, object]) -> bool:
        """True for a verdict that is no pass, unless its checks show that a visible one decided."""
        if "outcome" not in value or "index" in value or str(value["outcome"]) == "PASS":
            return False
        checks = value.get("checks")
        if not isinstance(checks, Sequence) or not checks:
            return True
        return not all(
            isinstance(check, Mapping) and (not self._is_hidden(check) or str(check["outcome"]) == "PASS")
            for check in checks
        )


def _bounded(data: object) -> str:
    text = json.dumps(data, allow_nan=False)
    return text if len(text) <= MAX_EVENT_CHARS else json.dumps({"omitted": f"{len(text)} characters"})
