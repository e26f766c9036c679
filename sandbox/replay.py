"""Judges an assert script that cannot be taken apart, without ever running it beside the candidate.

The script runs in a process of its own. When it needs an answer of the program it ends and says so; the calls are made
in a fresh process that holds the program and nothing of the script; then the script runs again, from its beginning,
with the answers. That is repeated until it ends with every answer at hand.

What cannot be done by passing values back and forth (changing an argument in place, passing functions, asking an
object of the program whether it equals another) is refused; the caller then falls back to a weak judgement and says so.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sandbox.codec import Instance, MalformedFrame, Opaque, Path, Raised, Report, read_frame, read_value
from sandbox.compare import parse, source
from sandbox.script import Outline, is_foreign_import, outline, root, runs_unittest, uncalled_tests

MAX_ROUNDS = 200
MAX_SPENT_S = 60.0
"""What all rounds of one script may take of the program's time, which its limits bound for each round only."""
MAX_CODE = 200_000


class NotProxied(Exception):
    """The script does with the program what calls by value cannot do. The message says what."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Calls that the program has to answer, as expressions for the guest, and as the judge wrote them."""

    expressions: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the script ended, every answer at hand."""

    kind: str
    """passed, failed, raised; exited where the program ended itself, lost where the judge said nothing readable."""
    message: str = ""
    line: str = ""
    by_program: bool = False


@dataclass(frozen=True, kw_only=True)
class Replay:
    """One script on its way through the rounds."""

    code: str
    classes: frozenset[str]
    shadows: frozenset[str]
    seed: int = 0
    answers: tuple[tuple[Any, ...], ...] = ()
    values: tuple[Any, ...] = ()
    """What the answers were made of."""
    rounds: int = 0

    @property
    def payload(self) -> dict[str, Any]:
        """What the judge's process is given."""
        return {
            "answers": [list(answer) for answer in self.answers],
            "shadows": sorted(self.shadows),
            "seeded": "random" in self.code,
            "seed": self.seed,
        }

    def read(self, result: bytes | None) -> Need | Ended:
        """What the judge's frame says. Raises NotProxied, MalformedFrame."""
        if result is None:
            raise MalformedFrame("the judge ended without a word")
        match read_frame(result, paths=True):
            case ("need", list() as calls) if all(type(call) is bytes for call in calls):
                expressions = [_expression(read_value(call, paths=True)) for call in calls]
                return Need(
                    expressions=tuple(f"(_r{index} := {text})" for index, text in enumerate(expressions)),
                    keys=tuple(call.decode("latin-1") for call in calls),
                )
            case ("passed",):
                return self.passed()
            case ("failed", str() as text, int() as line):
                return Ended(kind="failed", message=text, line=self.line(line))
            case ("raised", (tuple() as names, str() as text, str()), int() as line, str() as whose):
                message = f"{names[0]}: {text}"
                return Ended(kind="raised", message=message, line=self.line(line), by_program=whose == "program")
            case ("endless", str() as reason):
                return Ended(kind="lost", message=reason)
            case ("unproxied", str() as reason):
                raise NotProxied(reason)
        raise MalformedFrame("the judge says nothing that is known")

    def passed(self) -> Ended:
        """Passed, unless the program stopped an iteration: ``all(map(f, ...))`` takes that for the end."""
        for value in self.values:
            if isinstance(value, Raised) and "StopIteration" in value.names and "StopIteration" not in self.code:
                return Ended(kind="raised", message=f"StopIteration: {value.text}", by_program=True)
        return Ended(kind="passed")

    def line(self, number: int) -> str:
        """A line of the script as it ran."""
        lines = self.code.splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def answered(self, need: Need, report: Report) -> Replay:
        """The next round, with what the program's process reports. Raises MalformedFrame."""
        if self.rounds >= MAX_ROUNDS:  # no reason for a weak judgement: it is the program's answers that lead on and on
            raise MalformedFrame(f"the script still asks after {MAX_ROUNDS} rounds of answers")
        if len(report.values) != len(need.keys):
            raise MalformedFrame("the answer has not as many values as were asked for")
        answers = [(key, *self.answer(value)) for key, value in zip(need.keys, report.values, strict=True)]
        return replace(self, answers=tuple(answers), values=report.values, rounds=self.rounds + 1)

    def answer(self, value: Any) -> tuple[Any, ...]:
        """A value of the program as the judge is told of it."""
        if isinstance(value, Raised):
            return "error", list(value.names or ("Exception",)), value.text
        if any(isinstance(part, Opaque) and not self.travels(part) for part in _inside(value)):
            return ("object",)
        return "value", objects_source(value)

    def travels(self, value: Opaque) -> bool:
        """Whether an object is of a class that the script defines, so that it can be made anew there."""
        return isinstance(value, Instance) and value.name in self.classes


def _inside(value: Any) -> list[Any]:
    """Everything inside a decoded value, itself included. Iterators are looked into by their copies."""
    found, todo = [], [value]
    while todo:
        item = todo.pop()
        found.append(item)
        if isinstance(item, Instance):
            todo.extend(item.attributes.values())
        elif isinstance(item, dict):
            todo.extend([*item.keys(), *item.values()])
        elif isinstance(item, list | tuple | set | frozenset):
            todo.extend(item)
    return found


def objects_source(value: Any) -> str:
    """Source of a value with objects in it: ``__make__(class names, lambda o: (attributes of each, value))``.

    Objects refer to each other by number, so a long chain of them is no deep expression.
    """
    found: list[Instance] = []

    def stand_in(part: Any) -> Any:
        if isinstance(part, Instance):
            found.append(part)
            return Path((f"o[{len(found) - 1}]",))
        if isinstance(part, list | tuple | set | frozenset):
            return type(part)(map(stand_in, part))
        if isinstance(part, dict):
            return {key: stand_in(item) for key, item in part.items()} if type(part) is dict else part
        return part

    whole = stand_in(value)
    if not found:
        return source(value)
    attributes = [stand_in(instance.attributes) for instance in found]  # grows as objects are met
    return f"__make__({[instance.name for instance in found]}, lambda o: ({source(attributes)}, {source(whole)}))"


def _expression(call: Any) -> str:
    match call:
        case (tuple() as path,):
            return _dotted(path)
        case (tuple() as path, tuple() as positional, dict() as named):
            arguments = [objects_source(value) for value in positional]
            arguments += [f"{name}={objects_source(value)}" for name, value in named.items()]
            return f"{_dotted(path)}({', '.join(arguments)})"
    raise MalformedFrame("the judge asks for something that is no call")


def _dotted(path: tuple[Any, ...]) -> str:
    if not all(type(part) is str and part.isidentifier() for part in path):
        raise MalformedFrame("the judge asks for something that has no name")
    return ".".join(path)


@lru_cache(maxsize=256)
def prepare(code: str) -> Replay:
    """Make a script ready for its first round. Raises NotProxied, InvalidCheck."""
    if len(code) > MAX_CODE:
        raise NotProxied(f"it is longer than {MAX_CODE} characters")
    script = outline(code)
    _refuse_what_cannot_travel(script)
    tree = copy.deepcopy(script.tree)
    calls = [ast.Call(func=ast.Name(test.name, ast.Load()), args=[], keywords=[]) for test in uncalled_tests(tree)]
    if runs_unittest(tree):
        calls.append(parse('__import__("unittest").main(argv=["check"])', "the call of unittest").body)
    tree.body = [part for part in tree.body if not is_foreign_import(part)] + [ast.Expr(call) for call in calls]
    return Replay(
        code=ast.unparse(ast.fix_missing_locations(_Wrapper().visit(tree))),
        classes=frozenset(part.name for part in ast.walk(tree) if isinstance(part, ast.ClassDef)),
        shadows=script.shadows,
    )


def _refuse_what_cannot_travel(script: Outline) -> None:
    harmless = {
        part
        for node in ast.walk(script.tree)
        if isinstance(node, ast.With | ast.Try)
        for part in node.body
    }
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node not in harmless:
            name = root(node.value.func)
            given = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
            if script.is_programs(name) and any(isinstance(part, ast.Name) for part in given):
                raise NotProxied(f"line {node.lineno}: it calls {name} for what that does to its arguments")
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            raise NotProxied("it is asynchronous")
        if is_foreign_import(node) and any(alias.asname for alias in node.names):  # type: ignore[arg-type, attr-defined]
            raise NotProxied("it imports the program under another name")


class _Wrapper(ast.NodeTransformer):
    """Puts every statement in a ``try`` that skips it while it needs an answer that is not there yet."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return node  # a docstring stays first
        if isinstance(node, ast.Assert | ast.Expr | ast.AugAssign | ast.If | ast.For | ast.While | ast.With):
            return _guarded(node, [ast.Pass()])
        if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            pending = ast.Name("__pending__", ast.Load())
            return _guarded(node, [ast.Assign(targets=node.targets, value=pending)])
        return node


def _guarded(statement: ast.stmt, otherwise: list[ast.stmt]) -> ast.Try:
    handler = ast.ExceptHandler(type=ast.Name("__Unknown__", ast.Load()), name=None, body=otherwise)
    return ast.Try(body=[statement], handlers=[handler], orelse=[], finalbody=[])
