"""The host's half of judging: what the guest has to do for each check, and what became of it.

`plan` turns checks into steps, each of which a guest does once in a fresh process; `judge` reads what the guest reports
and compares; `verdict` sums up. The guest sees a step's `source`, `kind` and `payload`: inputs, never an expected
value. `judge_program` does all of it over any function that can run one step.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sandbox import replay
from sandbox.codec import MalformedFrame, read_report
from sandbox.compare import parse, validate_expected
from sandbox.discovery import runner_calls
from sandbox.errors import InvalidCheck
from sandbox.judgement import Step, judge, told, verdict
from sandbox.names import NotPure
from sandbox.placing import ASK, DO, GET, TRY
from sandbox.raw import Exit, Raw
from sandbox.replay import Ended, NotProxied, Replay
from sandbox.rewrite import rewrite
from sandbox.script import outline
from sandbox.types import AssertCheck, CallCheck, Check, CheckResult, Outcome, Program, StdioCheck, Verdict

__all__ = ["Step", "judge", "judge_program", "parse_check", "plan", "validate_check", "verdict"]

MAX_SHOWN = 400
HEAVY = 20_000
"""Characters of a check, or bytes of an answer, beyond which judging moves to a thread."""


def plan(program: Program, checks: Sequence[Check]) -> list[Step]:
    """The steps that judge `program`, in the order of `checks`. Raises InvalidCheck."""
    if not checks:
        return [Step(kind="load", source=program.source, payload={}, check_index=0, shown="the program loads")]
    return [_step(program, check, index) for index, check in enumerate(checks)]


def _step(program: Program, check: Check, index: int) -> Step:
    try:
        if program.language != "python" and not isinstance(check, StdioCheck):
            raise InvalidCheck(f"programs in {program.language} are checked by standard input and output only")
        validate_check(check)
    except InvalidCheck as error:
        raise InvalidCheck(f"check {index + 1}: {error}") from None
    if isinstance(check, StdioCheck):
        kind, payload, shown, expects = "stdio", {"stdin": check.stdin}, _one_line(f"stdin {check.stdin!r}"), check
        return Step(kind=kind, source=program.source, payload=payload, check_index=index, shown=shown, expects=expects)
    if isinstance(check, CallCheck):
        ops = [[DO, check.setup]] if check.setup.strip() else []
        call = check.call.strip()
        ops.append([TRY if check.compare == "raises" else GET, call])
        shown = _one_line(f"{call} {_SYMBOLS.get(check.compare, check.compare)} {check.expected}".strip())
        return Step(
            kind="call", source=program.source, payload={"ops": ops}, check_index=index, shown=shown, expects=check
        )
    return _assert_step(program, check, index)


def _assert_step(program: Program, check: AssertCheck, index: int) -> Step:
    shown = _one_line(next((line for line in check.code.splitlines() if line.strip().startswith("assert")), check.code))
    step = Step(
        kind="call",
        source=program.source,
        payload={},
        check_index=index,
        integrity="weak" if outline(check.code).helpers else "strong",
        shown=shown,
    )
    try:
        script = rewrite(check.code)
        return replace(step, payload={"ops": [list(op) for op in script.ops]}, expects=script)
    except NotPure:
        pass
    calls = map(ast.unparse, runner_calls(outline(check.code).tree, in_a_module=False))
    code = "\n".join([check.code, *calls])
    weak = replace(step, kind="script", payload={"code": code}, integrity="weak")
    try:
        return replace(step, expects=replay.prepare(check.code), instead=weak)
    except NotProxied:
        return weak


def validate_check(check: Check) -> None:
    """Raise InvalidCheck, with the place, where a check cannot be read or checks nothing."""
    if isinstance(check, CallCheck):
        call = parse(check.call, "the call").body
        parse(check.setup, "the setup", "exec")
        if isinstance(call, ast.Constant):
            raise InvalidCheck("the call calls nothing")
        if _judges(call):
            raise InvalidCheck(
                "the call is computed beside the program, which could say yes to everything; ask for the value itself, "
                "and give what it is compared with as expected"
            )
        validate_expected(check)
    elif isinstance(check, AssertCheck):
        try:
            script = rewrite(check.code)
        except NotPure:
            return
        if not any(assertion.indexes for assertion in script.asserts):
            raise InvalidCheck("the assert script never checks anything that the program computes")


_PREDICATES = frozenset("all any bool callable hasattr isinstance issubclass".split())


def _judges(node: ast.expr) -> bool:
    """Whether an expression says yes or no to what the program computes."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PREDICATES:
        given = [ast.unparse(part.func) for part in ast.walk(node) if isinstance(part, ast.Call) and part is not node]
        return any(name not in dir(builtins) for name in given)
    negates = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return negates or isinstance(node, ast.Compare | ast.BoolOp)


def parse_check(text: str) -> Check:
    """The check that ``f(2) == 4`` or ``assert f(2) == 4`` means. Raises InvalidCheck with the place."""
    code = text.strip()
    if not code.startswith("assert") and "\n" not in code:
        tree = parse(code, "the check").body
        if isinstance(tree, ast.Call) or not isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp):
            raise InvalidCheck(f"the check must compare something, like `f(2) == 4`, not {code[:80]!r}")
        code = f"assert {code}"
    check = AssertCheck(code=code)
    validate_check(check)
    return check


async def judge_program(
    program: Program, checks: Sequence[Check], execute: Callable[[Step], Awaitable[Raw]], isolation: str
) -> Verdict:
    """Judge `program` over `execute`, which runs one step in a fresh process; stop at the first that does not pass."""
    results: list[CheckResult] = []
    heavy = any(map(_is_heavy, checks))
    for step in await asyncio.to_thread(plan, program, checks) if heavy else plan(program, checks):
        if isinstance(step.expects, Replay):
            results.append(await _replay(step, step.expects, execute))
        else:
            raw = await execute(step)
            heavy_answer = heavy or len(raw.result or b"") + len(raw.stdout) > HEAVY
            results.append(await asyncio.to_thread(judge, step, raw) if heavy_answer else judge(step, raw))
        if results[-1].outcome is not Outcome.PASS:
            break
    return verdict(results, isolation)


def _is_heavy(check: Check) -> bool:
    """Whether reading the check may take long enough to keep other tasks waiting: it is long, or it may loop."""
    text = check.model_dump_json() if not isinstance(check, StdioCheck) else ""
    return len(text) > HEAVY or "for " in text or "lambda" in text


async def _replay(step: Step, script: Replay, execute: Callable[[Step], Awaitable[Raw]]) -> CheckResult:
    """Judge a script that runs apart from the program; see `sandbox.replay`."""
    script = replace(script, seed=secrets.randbits(32))
    spent: list[Raw] = []
    try:
        while True:
            judging = replace(step, kind="judge", role="judge", source=script.code, payload=script.payload)
            raw = await execute(judging)
            if raw.exit is not Exit.EXITED:
                failed = judge(judging, raw)
                return failed.model_copy(update={"message": f"the assert script itself: {failed.message}"})
            said = script.read(raw.result)
            if isinstance(said, Ended):
                if not script.answers:
                    raise InvalidCheck(f"check {step.check_index + 1}: the assert script never calls the program")
                tail = raw.stderr.decode("utf-8", "backslashreplace")[-1_000:]
                return told(step, replace(said, message=said.message or tail), spent)
            asking = replace(step, payload={"ops": [[ASK, text] for text in said.expressions]}, expects=None)
            spent.append(await execute(asking))
            if sum(raw.wall_s for raw in spent) > replay.MAX_SPENT_S:
                raise MalformedFrame("the script still asks when all of its time is spent")
            result = judge(asking, spent[-1])
            if result.outcome is not Outcome.PASS:
                return result
            script = script.answered(said, read_report(spent[-1].result or b""))
            if script.exited:
                return told(step, Ended(kind="exited"), spent)
    except NotProxied:
        assert step.instead is not None
        return judge(step.instead, await execute(step.instead))
    except MalformedFrame as error:
        return told(step, Ended(kind="lost", message=str(error)), spent)


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 4] + " ..."


_SYMBOLS = {
    "equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "is_not": "is not", "not_in": "not in", "close": "is close to", "any_of": "is any of", "truthy": "is true",
    "falsy": "is false", "unordered": "== in any order", "isinstance": "is an instance of",
}  # fmt: skip
