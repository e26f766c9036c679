"""Takes an assert script apart: what the program must compute goes to the guest, what decides stays on the host.

``assert sorted(f([3, 1])) == [1, 3]`` becomes the guest's expression ``f([3, 1])`` and the host's expression
``sorted(value) == [1, 3]``. Statements in between are followed: what needs nothing of the program is evaluated here,
the rest is sent along in order. A script runs in one process, as its author would run it.

`rewrite` raises NotPure, with a reason, for scripts that need more than that.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sandbox.compare import exception_names, rewound
from sandbox.discovery import has_test_classes, uncalled_tests
from sandbox.errors import InvalidCheck
from sandbox.expressions import CannotEvaluate, Failed, Prepared
from sandbox.names import Names, NotPure, hold_parts_of_each_other, holds_part, is_stand_in, stand_in
from sandbox.placing import DO, MUTABLE, TRY
from sandbox.script import outline
from sandbox.shares import is_input, may_be_run
from sandbox.split import Splitter
from sandbox.trees import free_names, is_failure, is_true, root

MAX_SHOWN = 400


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """One assert: a host expression over values of the guest."""

    shown: str
    indexes: tuple[int, ...]
    test: Prepared | None = None
    sides: tuple[Prepared, Prepared] | None = None
    """What was found and what was wanted, where the assert is a comparison."""
    names: Mapping[str, Any] = field(default_factory=dict)
    raises: frozenset[str] = frozenset()
    """Where not empty: the one value is an exception of one of these classes."""

    def known(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the expression can see: the script's names and the guest's values, iterators at their begin."""
        return dict(self.names) | {stand_in(index): rewound(values[index]) for index in self.indexes}


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script taken apart: operations for the guest, and the assertions over what they give."""

    ops: tuple[tuple[int, str], ...]
    asserts: tuple[Assertion, ...]


def rewrite(code: str) -> Script:
    """Take `code` apart. Raises NotPure, or InvalidCheck where it does not parse."""
    found = _rewritten(code)
    if isinstance(found, str):
        raise NotPure(found)
    return found


@lru_cache(maxsize=512)
def _rewritten(code: str) -> Script | str:
    """The script taken apart, or why it cannot be."""
    whole = outline(code)
    if has_test_classes(whole.tree):
        return "a class of tests"
    try:
        script = _Rewriter(whole.shadows)
        script.block(whole.tree.body)
        for function in uncalled_tests(whole.tree):
            script.inline(function, ast.Call(func=ast.Name(id=function.name), args=[], keywords=[], lineno=1))
    except (NotPure, CannotEvaluate, Failed) as error:
        return str(error)
    except RecursionError:
        return "it is nested too deep"
    return Script(ops=tuple(script.ops), asserts=tuple(script.asserts))


class _Rewriter(Splitter):
    """Follows the statements of one script."""

    def __init__(self, shadows: frozenset[str]) -> None:
        super().__init__(shadows)
        self.asserts: list[Assertion] = []
        self.inlining: list[str] = []
        self.homes: dict[ast.FunctionDef, Names] = {}
        """The scopes that functions are defined in, whose names they see wherever they are called."""

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            method = getattr(self, f"_{type(statement).__name__.lower()}", None)
            if method is None:
                raise NotPure(f"line {statement.lineno}: {type(statement).__name__}")
            method(statement)

    def do(self, statement: ast.Expr | ast.Assign) -> None:
        """Have the guest run a statement. What it is given and can change lives in the guest from then on."""
        if not may_be_run(statement, self.needs_guest):
            raise NotPure(f"line {statement.lineno}: the program would be beside {ast.unparse(statement)[:80]}")
        self.emit(DO, self.place(statement))
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self.placed.pop(part.id, None)
        given = {name: self.names.host[name] for name in free_names(statement) & set(self.names.host)}
        for name, value in given.items():
            if isinstance(value, MUTABLE):
                self.refuse_second_name(statement, name)
                del self.names.host[name]
                self.names.owned[name] = "value"

    def refuse_second_name(self, statement: ast.stmt, name: str) -> None:
        """What is about to change in place must not be known under another name."""
        others = [other for key, other in self.names.host.items() if key != name]
        if isinstance(self.names.host[name], MUTABLE) and holds_part(others, self.names.host[name]):
            raise NotPure(f"line {statement.lineno}: {name} has a second name")

    # Statements that test

    def _assert(self, statement: ast.Assert) -> None:
        test = statement.test
        if isinstance(test, ast.Tuple) and test.elts:
            raise InvalidCheck(f"line {statement.lineno}: an assert on a tuple is always true")
        for part in test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]:
            self.check(part)

    def check(self, test: ast.expr) -> None:
        """One condition. If it needs nothing of the guest, it may be about an argument that a call has changed."""
        before = self.values
        if not self.needs_guest(test):
            given = {name for name in free_names(test) & set(self.placed) if name in self.names.host}
            self.reading = frozenset(name for name in given if isinstance(self.names.host[name], MUTABLE))
            known = [value for name, value in self.names.host.items() if name in free_names(test) - self.reading]
            if hold_parts_of_each_other(known, [*self.placed.values()]):
                raise NotPure(f"line {test.lineno}: what a call may have changed is looked at under another name")
        try:
            split = self.part(test)
        finally:
            self.reading = frozenset()
        if self.values == before and self.host(split):
            return
        sides = None
        if isinstance(split, ast.Compare) and len(split.ops) == 1:
            left, right = split.left, split.comparators[0]
            swap = not any(is_stand_in(name) for name in free_names(left))
            sides = (self.prepared(right if swap else left), self.prepared(left if swap else right))
        self.asserts.append(
            Assertion(
                shown=ast.unparse(test)[:MAX_SHOWN],
                indexes=tuple(range(before, self.values)),
                test=self.prepared(split),
                sides=sides,
                names={name: self.names.host[name] for name in free_names(split) & set(self.names.host)},
            )
        )

    def must_raise(self, body: list[ast.stmt], names: frozenset[str]) -> None:
        """The last statement of `body` has to raise one of the exceptions `names`."""
        if any(map(self.needs_guest, body[:-1])):
            raise NotPure(f"line {body[0].lineno}: more than one call may raise what is expected")
        self.block(body[:-1])
        statement = body[-1]
        of_guest = isinstance(statement, ast.Expr | ast.Assign) and self.needs_guest(statement)
        if not of_guest or not is_input(statement.value, self.needs_guest):  # type: ignore[attr-defined]
            raise NotPure(f"line {statement.lineno}: an exception is expected of something that is no call")
        self.emit(TRY, self.place(statement))
        self.asserts.append(Assertion(shown=ast.unparse(statement)[:MAX_SHOWN], indexes=(self.values,), raises=names))
        self.values += 1

    def _with(self, statement: ast.With) -> None:
        item = statement.items[0]
        call = item.context_expr
        plain = isinstance(call, ast.Call) and ast.unparse(call.func) in ("pytest.raises", "raises")
        if len(statement.items) > 1 or not plain or not isinstance(call, ast.Call) or call.keywords or call.args[1:]:
            raise NotPure(f"line {statement.lineno}: with {ast.unparse(item)[:80]}")
        self.must_raise(statement.body, exception_names(ast.unparse(call.args[0])))
        if isinstance(item.optional_vars, ast.Name):
            self.names.forget(item.optional_vars.id)
            self.names.closed.add(item.optional_vars.id)

    def _try(self, statement: ast.Try) -> None:
        body, handlers = statement.body, statement.handlers
        fails = [is_failure(part) for part in (body[-1:] + statement.orelse[:1])]
        harmless = all(isinstance(part, ast.Pass) or is_true(part) for handler in handlers for part in handler.body)
        if statement.finalbody or not harmless or not any(fails):
            raise NotPure(f"line {statement.lineno}: try")
        kinds = [ast.unparse(handler.type) if handler.type else "BaseException" for handler in handlers]
        names = frozenset().union(*map(exception_names, kinds))
        body = body[:-1] if fails[0] else body
        if not body:
            raise NotPure(f"line {statement.lineno}: try")
        self.must_raise(body, names)

    # Statements that prepare

    def _expr(self, statement: ast.Expr) -> None:
        value = statement.value
        if isinstance(value, ast.Constant | ast.Name):
            return
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            function = self.names.functions.get(value.func.id)
            if function is not None:
                return self.inline(function, value)
            if value.func.id == "print" and not self.needs_guest(value):
                return
        self.do(statement)

    def _assign(self, statement: ast.Assign) -> None:
        plain = all(isinstance(target, ast.Name | ast.Tuple | ast.List) for target in statement.targets)
        if plain and not self.needs_guest(statement.value):
            value = self.host(statement.value)
            for target in statement.targets:
                self.bind(target, value)
            return
        self.do(statement)
        for target in statement.targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    self.names.forget(part.id)
                    self.names.owned[part.id] = "value" if self.is_value(statement.value) else "object"

    def _annassign(self, statement: ast.AnnAssign) -> None:
        if statement.value is not None:
            self._assign(ast.copy_location(ast.Assign(targets=[statement.target], value=statement.value), statement))

    def _augassign(self, statement: ast.AugAssign) -> None:
        target = statement.target
        if not isinstance(target, ast.Name) or target.id not in self.names.host:
            raise NotPure(f"line {statement.lineno}: it changes what the program made")
        self.refuse_second_name(statement, target.id)
        read = ast.Name(id=target.id, ctx=ast.Load())
        whole = ast.BinOp(left=read, op=statement.op, right=statement.value)
        self._assign(ast.copy_location(ast.Assign(targets=[target], value=whole), statement))

    def _import(self, statement: ast.Import) -> None:
        self.names.bind_import(statement)

    def _importfrom(self, statement: ast.ImportFrom) -> None:
        self.names.bind_import_from(statement)

    def _functiondef(self, statement: ast.FunctionDef) -> None:
        self.names.forget(statement.name)
        self.names.functions[statement.name] = statement
        self.homes[statement] = self.names

    def _classdef(self, statement: ast.ClassDef) -> None:
        if statement.bases:
            raise NotPure(f"line {statement.lineno}: a class with bases")
        self.names.forget(statement.name)
        self.names.closed.add(statement.name)

    def _pass(self, statement: ast.Pass) -> None:
        """Nothing to do."""

    # Control

    def _for(self, statement: ast.For) -> None:
        for value in self.loop_values(statement.iter):
            self.bind(statement.target, value)
            self.block(statement.body)
        self.block(statement.orelse)

    def _if(self, statement: ast.If) -> None:
        if self.needs_guest(statement.test):
            raise NotPure(f"line {statement.lineno}: it branches on what the program returns")
        self.block(statement.body if self.host(statement.test) else statement.orelse)

    def inline(self, function: ast.FunctionDef, call: ast.Call) -> None:
        """Follow a call of a function that the script defines, where its result is not used."""
        arguments, outer = function.args, self.names
        plain = not (arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs)
        parameters = [argument.arg for argument in arguments.args]
        given = dict(zip(parameters, call.args, strict=False)) | {str(key.arg): key.value for key in call.keywords}
        given = dict(zip(parameters[::-1], arguments.defaults[::-1], strict=False)) | given
        if function.decorator_list or not plain or function.name in self.inlining or set(given) != set(parameters):
            raise NotPure(f"line {call.lineno}: the call of {function.name}")
        inner = self.homes[function].scope(self.held() | outer.hidden)
        for name, value in given.items():
            if isinstance(value, ast.Name) and value.id == name and self.is_guests(name):
                continue
            inner.forget(name)
            if isinstance(value, ast.Name) and self.is_guests(value.id):
                inner.alias[name] = outer.alias.get(value.id, value)
            elif self.needs_guest(value):
                self.do(ast.copy_location(ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value), call))
                inner.owned[name] = "callable"
            else:
                inner.host[name] = self.host(value)
        inner.hidden |= {root(target) for target in inner.alias.values()}
        self.inlining.append(function.name)
        body = function.body
        ends = isinstance(body[-1], ast.Return) and (body[-1].value is None or isinstance(body[-1].value, ast.Constant))
        self.names = inner
        self.block(body[:-1] if ends else body)
        self.names = outer
        self.inlining.pop()
