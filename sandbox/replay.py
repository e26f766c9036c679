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
from sandbox.compare import source
from sandbox.discovery import runner_calls
from sandbox.identity import asks_for_identity
from sandbox.placing import MUTABLE
from sandbox.script import Outline, is_foreign_import, outline

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
    watched: tuple[bool, ...]
    """Whether an answer comes with the arguments, where the call has changed them."""
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
                asked = [_asked(read_value(call, paths=True), index) for index, call in enumerate(calls)]
                return Need(
                    expressions=tuple(text for text, _ in asked),
                    watched=tuple(watched for _, watched in asked),
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

    @property
    def exited(self) -> bool:
        """Whether the program ended itself, and the script is not about that."""
        ends = any(isinstance(value, Raised) and "SystemExit" in value.names for value in self.values)
        return ends and "SystemExit" not in self.code

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
        told = (
            self.with_arguments(value) if watched else ("", *self.answer(value))
            for watched, value in zip(need.watched, report.values, strict=True)
        )
        return replace(self, answers=tuple((key, *answer) for key, answer in zip(need.keys, told, strict=True)),
                       values=report.values, rounds=self.rounds + 1)

    def with_arguments(self, value: Any) -> tuple[Any, ...]:
        """What the call has made of its arguments, if anything; then its answer."""
        match value:
            case (value, None):
                return "", *self.answer(value)
            case (value, (tuple(), dict()) as given) if not self.holds_objects(given):
                return objects_source(given), *self.answer(value)
            case (_, (tuple(), dict())):
                return "", "error", ["TypeError"], "the program puts into an argument what is no plain data"
        return "", *self.answer(value)

    def answer(self, value: Any) -> tuple[Any, ...]:
        """A value of the program as the judge is told of it."""
        if isinstance(value, Raised):
            return "error", list(value.names or ("Exception",)), value.text
        return ("object",) if self.holds_objects(value) else ("value", objects_source(value))

    def holds_objects(self, value: Any) -> bool:
        """Whether there is anything in a value that has to stay in the program's process."""
        return any(isinstance(part, Opaque) and not self.travels(part) for part in _inside(value))

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


def _asked(call: Any, index: int) -> tuple[str, bool]:
    """The expression that makes a call and keeps the answer as ``_r<index>``; whether its arguments are watched.

    Then its value is (answer, None), or (answer, arguments) where they are not what they were.
    """
    match call:
        case (tuple() as path,):
            return f"(_r{index} := {_dotted(path)})", False
        case (tuple() as path, tuple() as positional, dict() as named):
            parts = _inside((positional, [*named.values()]))
            changeable = any(isinstance(part, (*MUTABLE, Instance)) for part in parts)
            if changeable and not any(isinstance(part, Path) for part in parts):  # what lives there changes there
                given, before = f"_a{index}", f"_b{index}"
                return (
                    f"(({given} := {objects_source((positional, named))}), ({before} := __written__({given})), "
                    f"(_r{index} := {_dotted(path)}(*{given}[0], **{given}[1])), "
                    f"None if __written__({given}) == {before} else {given})[2:]"
                ), True
            arguments = [objects_source(value) for value in positional]
            arguments += [f"{name}={objects_source(value)}" for name, value in named.items()]
            return f"(_r{index} := {_dotted(path)}({', '.join(arguments)}))", False
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
    tree.body = [part for part in tree.body if not is_foreign_import(part)] + runner_calls(tree, in_a_module=True)
    return Replay(
        code=ast.unparse(ast.fix_missing_locations(_Wrapper().visit(tree))),
        classes=frozenset(part.name for part in ast.walk(tree) if isinstance(part, ast.ClassDef)),
        shadows=script.shadows,
    )


def _refuse_what_cannot_travel(script: Outline) -> None:
    if line := asks_for_identity(script):
        raise NotProxied(f"line {line}: it asks whether two objects are one, and values travel as copies")
    for node in ast.walk(script.tree):
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
