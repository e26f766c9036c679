"""A sandbox that asks again where a time-out may be the machine's fault, and then with nothing else running in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from atlas.types import Check, Limits, Program, Verdict
from sandbox.types import Outcome, Sandbox

OWN_CORE = 0.9
"""A program that got at least this share of a processor had one to itself: more time would not help it."""
PATIENCE = 2.0


@dataclass(slots=True, kw_only=True, eq=False)
class Turns:
    """Many work together, or one works alone; who waits to be alone is let in before others that come later."""

    _together: int = 0
    _alone: bool = False
    _waiting: int = 0
    _changed: anyio.Condition = field(default_factory=anyio.Condition)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with self._changed:
            while self._alone or self._waiting:
                await self._changed.wait()
            self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            await self._tell()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._changed:
            self._waiting += 1
            try:
                while self._alone or self._together:
                    await self._changed.wait()
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            self._alone = False
            await self._tell()

    async def _tell(self) -> None:
        with anyio.CancelScope(shield=True):
            async with self._changed:
                self._changed.notify_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class AsksAgain:
    """A `Sandbox` over another. A time-out for want of a processor is judged once more, alone, with twice the time.

    A program that had a processor to itself and ran out of time is too slow, whatever else ran; it is not asked again.
    """

    sandbox: Sandbox
    turns: Turns = field(default_factory=Turns)

    @property
    def isolation(self) -> str:
        return self.sandbox.isolation

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        async with self.turns.together():
            verdict = await self.sandbox.run(program, checks, limits)
        if not borderline(verdict):
            return verdict
        patient = limits.model_copy(update={"wall_s": PATIENCE * limits.wall_s})
        async with self.turns.alone():
            return await self.sandbox.run(program, checks, patient)

    async def aclose(self) -> None:
        await self.sandbox.aclose()


def borderline(verdict: Verdict) -> bool:
    """Whether a time-out may be due to what else the machine did: the program got less than a processor."""
    if verdict.outcome not in (Outcome.TIMEOUT, Outcome.CPU_LIMIT):
        return False
    last = verdict.checks[-1] if verdict.checks else verdict
    return last.cpu_s < OWN_CORE * last.wall_s or last.wall_s == 0
