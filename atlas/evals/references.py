"""Reference solutions are run first: they prove the checks, and they say what the plus inputs should give.

A problem whose reference does not pass its own checks is excluded by name, and so is one that nothing checks. Plus
inputs are held to the record's contract, their expected values are those that the reference gives in the sandbox, and
the reference must then pass the checks that came of it; inputs for which any of that fails are dropped and counted. How
long the reference takes here is what the limits are calibrated on. What was found is kept, by the hash of everything
that it depends on.
"""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, ValidationError

from atlas.evals.grade import judge
from atlas.evals.problems import Excluded, OpenCall, Plus, Problem
from atlas.types import AssertCheck, CallCheck, Check, Limits, Program, StdioCheck, Verdict
from costfield.shards import replace_file
from sandbox.errors import InvalidCheck
from sandbox.reading import syntax_tree
from sandbox.types import Frozen, Outcome, Sandbox

VERSION = 2
PATIENCE = Limits(cpu_s=60.0, wall_s=240.0)
"""How long a reference may take, or the problem's own limits where those are wider."""
NO_VALUE = "'\\x00 no program returns this \\x00'"
"""What a call's value is held to differ from, so that a run goes on and reports the value."""
LONGEST_VALUE = 1_900
"""Characters; a sandbox shortens what it shows of longer values, and a shortened value is not the value."""
LONGEST_OUTPUT = 16_000
"""Characters; a sandbox shows no more of what a program printed."""
UNCHECKED = "nothing checks it"
CALLS_IN_SCRIPT = 25
"""Calls that share one process when plus inputs are checked: a fork for each would be most of the time."""
MOST_DROPPED = 0.5
"""Share of plus inputs that may prove unusable; above it the others are not trusted either."""

PlusCheck = CallCheck | AssertCheck


class Settled(Frozen):
    """What running a problem's reference found: why it is excluded, or the checks that its plus inputs became."""

    excluded: str = ""
    plus_checks: tuple[Check, ...] = ()
    dropped: int = Field(default=0, description="Plus inputs that could not be used.")
    note: str = Field(default="", description="Why plus inputs could not be used.")
    cpu_s: float = Field(default=0.0, ge=0, description="CPU time of the reference's slowest check.")


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Runs reference solutions and remembers what came of it in `folder`."""

    sandbox: Sandbox
    folder: Path
    pause_s: float = 2.0

    async def settle(self, problem: Problem) -> Problem | Excluded:
        """The problem with its plus inputs as hidden checks, or why it cannot be used. Raises SandboxFailed."""
        if problem.reference is None and problem.expected is None:
            return problem if problem.checks else Excluded(id=problem.id, reason=UNCHECKED)
        path = self.folder / f"{_key(problem)}.json"
        settled = _kept(path)
        if settled is None:
            settled = await self._run(problem)
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, settled.model_dump_json().encode())
        if settled.excluded:
            return Excluded(id=problem.id, reason=settled.excluded)
        hidden = problem.hidden + settled.plus_checks
        if not problem.task.checks + hidden:
            return Excluded(id=problem.id, reason=UNCHECKED)
        return replace(
            problem, hidden=hidden, plus=None, expected=None, reference_cpu_s=settled.cpu_s,
            note=settled.note or problem.note,
        )

    async def _run(self, problem: Problem) -> Settled:
        if problem.expected is not None:
            return await self._printed(problem.expected, problem)
        assert problem.reference is not None
        try:
            verdict = await self._judge(problem, problem.reference, problem.checks)
        except InvalidCheck as error:
            return Settled(excluded=f"a check cannot be read: {error}")
        if not verdict.passed:
            return Settled(excluded=f"its reference does not pass its own checks: {_why(verdict)}")
        slowest = _slowest(verdict)
        if problem.plus is None:
            return Settled(cpu_s=slowest)
        verdict = await self._judge(problem, problem.plus.reference, problem.checks)
        if not verdict.passed:
            note = f"the plus reference does not pass the problem's checks: {_why(verdict)}"
            return Settled(note=note, cpu_s=slowest)
        settled = await self._plus_checks(problem, problem.plus)
        return settled.model_copy(update={"cpu_s": max(settled.cpu_s, slowest)})

    async def _printed(self, program: Program, problem: Problem) -> Settled:
        """What a right program prints, out of a program that knows it: one check of standard output."""
        verdict = await self._judge(replace(problem, harness=("", "")), program, [StdioCheck(stdout=NO_VALUE)])
        found = verdict.checks[0] if verdict.checks else None
        if found is None or found.outcome is not Outcome.FAIL or found.actual is None or found.truncated:
            return Settled(excluded=f"its expected values cannot be computed: {_why(verdict)}")
        if len(found.actual) > LONGEST_OUTPUT:
            return Settled(excluded="its expected values are too long")
        return Settled(plus_checks=(StdioCheck(stdout=found.actual),), cpu_s=_slowest(verdict))

    async def _plus_checks(self, problem: Problem, plus: Plus) -> Settled:
        guarded = _guarded(plus)
        checks = [
            check for call, value in zip(plus.calls, await self._values(problem, guarded, plus.calls), strict=True)
            if value is not None and (check := _check(call, value)) is not None
        ]
        stable = await self._passed(problem, plus.reference, checks)
        dropped = len(plus.calls) - len(stable)
        note = f"{dropped} of {len(plus.calls)} plus inputs cannot be used" if dropped else ""
        if dropped > MOST_DROPPED * len(plus.calls):
            return Settled(dropped=dropped, note=f"{note}, so none is")
        scripts = _scripts(stable)
        verdict = await self._judge(problem, plus.reference, scripts)
        # Calls that share a process may disturb each other (a global that grows): then each gets its own.
        final = scripts if verdict.passed else tuple(stable)
        return Settled(plus_checks=final, dropped=dropped, note=note, cpu_s=_slowest(verdict))

    async def _values(self, problem: Problem, program: Program, calls: Sequence[OpenCall]) -> list[str | None]:
        """What each call returns, as source; None where it breaks the contract, raises, or is no plain value."""
        values: list[str | None] = []
        while len(values) < len(calls):
            left = [CallCheck(call=c.call, expected=NO_VALUE, compare="not_equal") for c in calls[len(values) :]]
            verdict = await self._judge(problem, program, left)
            for result in verdict.checks:
                usable = result.outcome is Outcome.PASS and len(result.actual or "") <= LONGEST_VALUE
                values.append(result.actual if usable else None)
            if not verdict.checks:
                return [None] * len(calls)
        return values

    async def _passed(self, problem: Problem, program: Program, checks: Sequence[PlusCheck]) -> list[PlusCheck]:
        """The checks that the program passes, each by itself: others came of values that change from run to run."""
        passed: list[PlusCheck] = []
        at = 0
        while at < len(checks):
            try:
                verdict = await self._judge(problem, program, checks[at:])
            except InvalidCheck:
                return []
            good = sum(result.outcome is Outcome.PASS for result in verdict.checks)
            passed += checks[at : at + good]
            at += max(good if verdict.passed else good + 1, 1)
        return passed

    async def _judge(self, problem: Problem, program: Program, checks: Sequence[Check]) -> Verdict:
        own, widest = problem.limits, {"cpu_s": PATIENCE.cpu_s, "wall_s": PATIENCE.wall_s}
        limits = own.model_copy(update={name: max(getattr(own, name), most) for name, most in widest.items()})
        return await judge(self.sandbox, problem.runnable(program), checks, limits, pause_s=self.pause_s)


def _key(problem: Problem) -> str:
    reference = problem.reference.source if problem.reference else ""
    return hashlib.sha256(f"{VERSION}\0{problem.digest()}\0{reference}".encode()).hexdigest()


def _kept(path: Path) -> Settled | None:
    try:
        return Settled.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        return None  # written by another version: it is found out again


def _why(verdict: Verdict) -> str:
    failed = next((r for r in verdict.checks if r.outcome is not Outcome.PASS), None)
    if failed is None:
        return f"{verdict.outcome} {verdict.message}".strip()
    facts = [f"check {failed.index}: {failed.outcome}", failed.message]
    if failed.expected is not None:
        facts.append(f"expected {failed.expected[:80]}, got {(failed.actual or 'nothing')[:80]}")
    return ", ".join(fact for fact in facts if fact)


def _guarded(plus: Plus) -> Program:
    """The plus reference with its contract at the start of the function's body."""
    tree = syntax_tree(plus.reference.source)
    rules = syntax_tree(textwrap.dedent(plus.contract.strip("\n")).strip("\n")) if plus.contract.strip() else None
    for node in tree.body:
        if rules is not None and isinstance(node, ast.FunctionDef) and node.name == plus.entry_point:
            node.body[:0] = rules.body
    return Program(source=ast.unparse(ast.fix_missing_locations(tree)), language=plus.reference.language)


def _slowest(verdict: Verdict) -> float:
    return max((result.cpu_s for result in verdict.checks), default=0.0)


def _check(call: OpenCall, value: str) -> PlusCheck | None:
    """The check that a known value makes of an open call; None where the value cannot be compared so."""
    if call.compare == "root":
        return _root_check(call)
    try:
        known = ast.literal_eval(syntax_tree(value.lstrip(" \t"), mode="eval"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if call.compare == "truth":
        return CallCheck(call=call.call, compare="truthy" if known else "falsy")
    if call.compare == "unordered" and isinstance(known, list | tuple | set | frozenset):
        return CallCheck(call=call.call, expected=value, compare="unordered")
    if call.compare == "close" or _has_float(known):
        return CallCheck(call=call.call, expected=value, compare="close", rel_tol=call.rel_tol, abs_tol=call.abs_tol)
    return CallCheck(call=call.call, expected=value)


def _root_check(call: OpenCall) -> AssertCheck:
    """The polynomial, Σ c[i] x^i, is evaluated by the host: as a script's own arithmetic, not in the program."""
    parsed = syntax_tree(call.call, mode="eval").body
    assert isinstance(parsed, ast.Call)
    terms = f"sum([c * x ** i for i, c in enumerate({ast.unparse(parsed.args[0])})])"
    return AssertCheck(code=f"x = {call.call}\nassert abs({terms}) <= {call.abs_tol!r}")


def _has_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_has_float, value))
    return isinstance(value, float)


def _scripts(checks: Sequence[PlusCheck]) -> tuple[Check, ...]:
    """Exact comparisons joined into scripts, one process each; the others stay single checks."""
    simple = ("equal", "truthy", "falsy")
    exact = [check for check in checks if isinstance(check, CallCheck) and check.compare in simple]
    joined = [
        AssertCheck(code="\n".join(map(_assert, exact[at : at + CALLS_IN_SCRIPT])))
        for at in range(0, len(exact), CALLS_IN_SCRIPT)
    ]
    return (*joined, *(check for check in checks if check not in exact))


def _assert(check: CallCheck) -> str:
    if check.compare == "equal":
        return f"assert {check.call} == {check.expected}"
    return f"assert {'not ' if check.compare == 'falsy' else ''}{check.call}"
