"""Progress of long work on standard error: a live line on a terminal, a plain line every ten seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

PLAIN_EVERY_S = 10.0


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts of what was done since this process began, and of what was there already.

    `solved` and `failed` problems have a right program, or none; `saved` counts programs that were there and needed no
    sandbox run of their own, because the loop chose others or an equal one had its verdict.
    """

    total: int
    what: str = "problems"
    done: int = 0
    resumed: int = 0
    solved: int = 0
    failed: int = 0
    saved: int = 0
    candidates: int = 0
    passed: int = 0
    tokens: int = 0
    troubles: int = 0
    excluded: int = 0
    begun: float = field(default_factory=time.monotonic)

    def line(self, now: float | None = None) -> str:
        """One line: done of total, solved and failed, candidates, how many of them passed, tokens per second, sandbox
        runs saved, troubles, time left.
        """
        seconds = max((time.monotonic() if now is None else now) - self.begun, 1e-9)
        parts = [f"{self.done}/{self.total} {self.what}"]
        if self.solved or self.failed:
            parts.append(f"{self.solved} solved, {self.failed} failed")
        if self.candidates:
            parts.append(f"{self.candidates} candidates, {self.passed / self.candidates:.0%} passed")
        if self.tokens:
            parts.append(f"{self.tokens / seconds:.0f} tokens/s")
        if self.saved:
            parts.append(f"{self.saved} sandbox runs saved")
        if self.resumed:
            parts.append(f"{self.resumed} were there already")
        if self.excluded:
            parts.append(f"{self.excluded} excluded")
        if self.troubles:
            parts.append(f"{self.troubles} left undone by infrastructure")
        new = self.done - self.resumed
        if new > 0 and self.done < self.total:
            parts.append(f"{_clock(seconds / new * (self.total - self.done))} left")
        return ", ".join(parts)

    @contextlib.contextmanager
    def shown(self, out: TextIO | None = None, every_s: float = PLAIN_EVERY_S) -> Iterator[Progress]:
        """Show the progress on `out` (standard error) for as long as the context lasts, and once at its end.

        A thread shows it, so that a busy event loop cannot silence it.
        """
        stream = out if out is not None else sys.stderr
        console = Console(file=stream, highlight=False, soft_wrap=True)
        if console.is_terminal:
            with Live(console=console, refresh_per_second=2, transient=True, get_renderable=lambda: Text(self.line())):
                yield self
        else:
            with self._plain_lines(stream, every_s):
                yield self
        _say(stream, self.line())

    @contextlib.contextmanager
    def _plain_lines(self, stream: TextIO, every_s: float) -> Iterator[None]:
        over = threading.Event()

        def tick() -> None:
            while not over.wait(every_s):
                _say(stream, self.line())

        thread = threading.Thread(target=tick, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _say(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
