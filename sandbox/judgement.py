"""Reads what a guest reports of one step and says what became of the check. Everything here runs on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.codec import MalformedFrame, Raised, Report, read_report
from sandbox.compare import holds, show
from sandbox.expressions import Failed
from sandbox.meter import Meter
from sandbox.placing import DO
from sandbox.raw import Exit, Raw
from sandbox.replay import Ended, Replay
from sandbox.rewrite import Assertion, Script
from sandbox.types import CallCheck, CheckResult, Integrity, Outcome, StdioCheck, Verdict

MAX_OUTPUT = 16_384


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a guest does once, in a fresh process. Only `source`, `kind` and `payload` are for the guest."""

    kind: str
    """load, call, stdio, script or judge."""
    source: str
    payload: dict[str, Any]
    check_index: int
    integrity: Integrity = "strong"
    role: str = "candidate"
    shown: str = ""
    expects: CallCheck | StdioCheck | Script | Replay | None = None
    instead: Step | None = None
    """What to do where `expects` turns out to be beyond a replay."""


def judge(step: Step, raw: Raw) -> CheckResult:
    """What became of a step, from what its guest reports."""
    return _Judgement(step, raw).result()


class _Judgement:
    def __init__(self, step: Step, raw: Raw) -> None:
        self.step = step
        self.raw = raw
        self.purse = Meter()

    def result(self) -> CheckResult:
        raw = self.raw
        if raw.tampered:
            return self.made(Outcome.TAMPERED, raw.tampered)
        if raw.exit in _EXITS:
            outcome, message = _EXITS[raw.exit]
            return self.made(outcome, message)
        if raw.exit is Exit.SIGNALLED:
            return self.made(Outcome.CRASH, f"killed by signal {raw.signal}")
        try:
            report = None if raw.result is None else read_report(raw.result)
        except MalformedFrame as error:
            return self.made(Outcome.TAMPERED, f"what came through the result channel is no answer: {error}")
        if report is not None and report.kind == "syntax":
            return self.made(Outcome.SYNTAX, report.message)
        if isinstance(self.step.expects, StdioCheck):
            return self.stdio(report, self.step.expects)
        if report is None:
            return self.made(Outcome.NO_VERDICT, f"the program ended (status {raw.exit_code}) before it answered")
        return self.answered(report)

    def stdio(self, report: Report | None, check: StdioCheck) -> CheckResult:
        if report is not None and report.error is not None:
            return self.raised(report)
        status = report.status if report is not None and report.kind == "exit" else self.raw.exit_code
        if status:
            return self.made(Outcome.ERROR, f"exit status {status}")
        if self.raw.truncated:
            return self.made(*_EXITS[Exit.OUTPUT_LIMIT])
        wanted, found = _lines(check.stdout.encode("utf-8", "backslashreplace")), _lines(self.raw.stdout)
        texts = {"expected": show_text(check.stdout), "actual": show_text(_decoded(self.raw.stdout))}
        same = _same_numbers if check.compare == "decimals" else bytes.__eq__
        if check.compare == "decimals":
            wanted, found = (_lines(b"\n".join(lines).strip()) for lines in (wanted, found))
        line = next((at for at, pair in enumerate(zip(wanted, found, strict=False)) if not same(*pair)), None)
        if line is None and len(wanted) == len(found):
            return self.made(Outcome.PASS, **texts)
        line = min(len(wanted), len(found)) if line is None else line
        return self.made(Outcome.FAIL, f"output differs at line {line + 1}", **texts)

    def answered(self, report: Report) -> CheckResult:
        expects = self.step.expects
        asked = sum(op != DO for op, _ in self.step.payload.get("ops", ()))
        if len(report.values) > asked or (len(report.values) < asked and report.kind == "end"):
            return self.made(Outcome.TAMPERED, "the answer has not as many values as were asked for")
        if isinstance(expects, CallCheck | Script):
            failure = self.compared(report, expects)
            if failure is not None:
                return failure
        if report.error is not None:
            return self.raised(report)
        if report.kind == "exit":
            return self.made(Outcome.NO_VERDICT, f"the program exited (status {report.status}) before it answered")
        return self.made(Outcome.PASS, **self.texts(report, expects))

    def raised(self, report: Report) -> CheckResult:
        """An exception ended the step. In a script beside the program a failed assert is a wrong answer."""
        error = report.error
        assert error is not None
        name = error.names[0] if error.names else "?"
        message = f"{name}: {error.text}" + (f" ({error.place})" if error.place else "")
        if self.step.kind == "script" and report.phase == "call" and name == "AssertionError":
            return self.made(Outcome.FAIL, message)
        return self.made(Outcome.ERROR, message if report.phase != "setup" else f"while preparing the call: {message}")

    def compared(self, report: Report, expects: CallCheck | Script) -> CheckResult | None:
        """The first assertion that does not hold, of those whose values are there."""
        values = report.values
        if isinstance(expects, CallCheck):
            return self.call(expects, values[0]) if values else None
        for assertion in expects.asserts:
            if not assertion.indexes or assertion.indexes[-1] < len(values):
                failure = self.assertion(assertion, values)
                if failure is not None:
                    return failure
        return None

    def call(self, check: CallCheck, actual: Any) -> CheckResult | None:
        texts = {"expected": check.expected, "actual": show(actual)}
        if isinstance(actual, Raised) and "SystemExit" in actual.names and not holds(check, actual):
            return self.made(Outcome.NO_VERDICT, "the program exited before it answered", **texts)
        try:
            if holds(check, actual):
                return None
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            return self.made(Outcome.FAIL, f"cannot be compared: {error}", **texts)
        return self.made(Outcome.FAIL, **texts)

    def assertion(self, assertion: Assertion, values: Sequence[Any]) -> CheckResult | None:
        texts = _texts(assertion, values)
        if assertion.raises:
            value = values[assertion.indexes[0]]
            if isinstance(value, Raised) and not assertion.raises.isdisjoint(value.names):
                return None
            return self.made(Outcome.FAIL, shown=assertion.shown, **texts)
        assert assertion.test is not None
        names = assertion.known(values)
        try:
            if assertion.test.value(names, self.purse):
                return None
        except Failed as error:
            return self.made(Outcome.FAIL, str(error), shown=assertion.shown, **texts)
        return self.made(Outcome.FAIL, shown=assertion.shown, **texts)

    def texts(self, report: Report, expects: Any) -> dict[str, str]:
        if isinstance(expects, CallCheck) and report.values:
            return {"expected": expects.expected, "actual": show(report.values[0])}
        return {}

    def made(self, outcome: Outcome, message: str = "", **texts: str) -> CheckResult:
        raw, step = self.raw, self.step
        return CheckResult(
            index=step.check_index,
            outcome=outcome,
            integrity=step.integrity,
            message=_clean(message[:4_000]),
            shown=_clean(texts.get("shown", step.shown)),
            expected=_clean(texts["expected"]) if "expected" in texts else None,
            actual=_clean(texts["actual"]) if "actual" in texts else None,
            stdout=show_text(_decoded(raw.stdout)),
            stderr=show_text(_decoded(raw.stderr)),
            truncated=raw.truncated,
            wall_s=raw.wall_s,
            cpu_s=raw.cpu_s,
            peak_memory_mb=raw.peak_memory_mb,
            leftover_processes=raw.leftover_processes,
        )


def told(step: Step, ended: Ended, spent: Sequence[Raw]) -> CheckResult:
    """What became of a check whose script ran apart from the program; `spent` is what the program's processes took."""
    raw = replace(
        spent[-1] if spent else Raw(exit=Exit.EXITED),
        wall_s=sum(raw.wall_s for raw in spent),
        cpu_s=sum(raw.cpu_s for raw in spent),
    )
    outcome, message = {
        "passed": (Outcome.PASS, ""),
        "failed": (Outcome.FAIL, ended.message),
        "raised": (Outcome.FAIL, f"the assert script raised {ended.message}"),
        "exited": (Outcome.NO_VERDICT, "the program exited before it answered"),
        "lost": (Outcome.NO_VERDICT, ended.message),
    }[ended.kind]
    if ended.by_program:
        outcome, message = Outcome.ERROR, ended.message
    return _Judgement(step, raw).made(outcome, message, **({"shown": ended.line} if ended.line else {}))


def verdict(results: Sequence[CheckResult], isolation: str) -> Verdict:
    """The verdict over the results of `judge`, in order; the first that is no PASS decides."""
    decides = next((result for result in results if result.outcome is not Outcome.PASS), None)
    peaks = [result.peak_memory_mb for result in results if result.peak_memory_mb is not None]
    return Verdict(
        outcome=Outcome.SANDBOX_ERROR if not results else Outcome.PASS if decides is None else decides.outcome,
        isolation=isolation,
        integrity="weak" if any(result.integrity == "weak" for result in results) else "strong",
        checks=tuple(results),
        wall_s=sum(result.wall_s for result in results),
        cpu_s=sum(result.cpu_s for result in results),
        peak_memory_mb=max(peaks, default=None),
        message="" if decides is None else decides.message,
    )


def _texts(assertion: Assertion, values: Sequence[Any]) -> dict[str, str]:
    """What was found and wanted, for people."""
    names = assertion.known(values)
    if assertion.raises:
        return {"expected": " or ".join(sorted(assertion.raises)), "actual": show(values[assertion.indexes[0]])}
    if assertion.sides is not None:
        try:
            found, wanted = (side.value(names) for side in assertion.sides)
            return {"expected": show(wanted), "actual": show(found)}
        except Failed:
            pass  # the operation itself fails on this value; the plain values say why
    return {"expected": assertion.shown, "actual": ", ".join(show(values[index]) for index in assertion.indexes)}


def show_text(text: str) -> str:
    """Head and tail of a text."""
    if len(text) <= MAX_OUTPUT:
        return text
    half, gone = MAX_OUTPUT // 2, len(text) - MAX_OUTPUT
    return f"{text[:half]}\n... {gone} characters left out ...\n{text[-half:]}"


def _clean(text: str) -> str:
    """The text with lone surrogates, which no record can carry, written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _lines(data: bytes) -> list[bytes]:
    """Lines without trailing white space, and without the empty ones at the end."""
    return [line.rstrip() for line in data.rstrip().split(b"\n")]


def _same_numbers(one: bytes, other: bytes) -> bool:
    """Whether two lines are equal, or hold the same numbers."""
    if one.strip() == other.strip():
        return True
    if (one + other).translate(None, b"0123456789+-.eE \t\r\v\f"):
        return False  # `Decimal` itself would take 1_000 for 1000, and digits of any script
    try:
        return [Decimal(word.decode()) for word in one.split()] == [Decimal(word.decode()) for word in other.split()]
    except InvalidOperation:
        return False


_EXITS = {
    Exit.TIMEOUT: (Outcome.TIMEOUT, "no answer within the time limit"),
    Exit.CPU: (Outcome.CPU_LIMIT, "used more processor time than the limit"),
    Exit.OOM: (Outcome.OOM, "used more memory than the limit"),
    Exit.OUTPUT_LIMIT: (Outcome.OUTPUT_LIMIT, "wrote more than the limit"),
    Exit.NOT_STARTED: (Outcome.SANDBOX_ERROR, "the process could not be started"),
}
