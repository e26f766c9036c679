"""What the service needs from the rest of Atlas, as protocols: it runs against whatever fits them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from atlas.types import Budget, Check, Solution, Task


class Event(Protocol):
    """Something that happened while a task was worked on: a dotted name, and data that JSON can hold."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> Mapping[str, object]: ...


class Solver(Protocol):
    """Works on one task. Cancelling it leaves nothing running, here or on the model's server."""

    @property
    def budget(self) -> Budget:
        """What a task may cost that does not say."""
        ...

    async def solve(
        self,
        task: Task,
        *,
        hidden: Sequence[Check] = (),
        budget: Budget | None = None,
        seed: int = 0,
        observe: Callable[[Event], None] | None = None,
    ) -> Solution:
        """Work on `task`; `observe` is called on the event loop's thread and returns at once.

        Raises SolveInterrupted where infrastructure ended the work, InvalidCheck where a check cannot be read.
        """
        ...


class Atlas(Protocol):
    """A solver with its parts open: model, Cost Field, sandbox."""

    @property
    def solver(self) -> Solver: ...

    @property
    def info(self) -> Mapping[str, object]:
        """What the parts are: model, fingerprint id, Cost Field's hash, isolation. Every task keeps it."""
        ...

    async def ready(self) -> Mapping[str, tuple[bool, str]]:
        """Really use each part once: part name -> (works, what was seen). A part that fails is a value here."""
        ...


OpenSolver = Callable[[], AbstractAsyncContextManager[Atlas]]
"""Opens the parts and closes them again. Raises ConfigError for a setting that cannot work."""
