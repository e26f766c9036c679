"""Hidden checks travel beside a task, never in it: a sandbox that adds them, and gives nothing of them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.checks import validate_check
from sandbox.errors import InvalidCheck
from sandbox.types import Check, CheckResult, Limits, Outcome, Program, Sandbox, Verdict

_KEPT = {"index", "outcome", "integrity", "wall_s", "cpu_s", "peak_memory_mb", "truncated", "leftover_processes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenChecks:
    """A `Sandbox` that runs the checks it is given and then its own, and redacts the results of its own.

    Everything after the solver (feedback, prompts, events, responses) therefore sees of a hidden check its index, its
    outcome and what it used.
    """

    sandbox: Sandbox
    checks: tuple[Check, ...]

    @property
    def isolation(self) -> str:
        return self.sandbox.isolation

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        try:
            verdict = await self.sandbox.run(program, [*checks, *self.checks], limits)
        except InvalidCheck:
            for check in checks:
                validate_check(check)
            # Not one of the visible ones: the message may quote it.
            raise InvalidCheck("a hidden check cannot be read, or checks nothing") from None
        shown = tuple(r if r.index < len(checks) else redact(r) for r in verdict.checks)
        # The verdict's message speaks of the check that did not pass.
        told = all(r.outcome is Outcome.PASS for r in shown if r.hidden)
        return verdict.model_copy(update={"checks": shown, "message": verdict.message if told else ""})

    async def aclose(self) -> None:
        await self.sandbox.aclose()


def redact(result: CheckResult) -> CheckResult:
    """`result` without anything from which the check or the program's answer to it could be read."""
    return CheckResult(**result.model_dump(include=_KEPT), hidden=True)
