"""Evaluates the harmless part of an assert on the host: an interpreter for a small part of Python's expressions.

It works on values of exact built-in types only, calls nothing but the functions and methods listed below, looks up
no attribute by a name that is not listed, and pays for every step from a budget, so a hostile check costs a bounded
amount of time and memory. `prepare` says before anything runs whether an expression is within that part.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sandbox import functions
from sandbox.codec import Raised, hashable
from sandbox.functions import BUILTINS, METHOD_NAMES, MODULES, Lambda
from sandbox.meter import Meter, OutOfBudget, unpacker

STEP = 4
"""Units that one step of the interpreter costs: about four times what touching an element does."""

Thunk = Callable[["Run"], Any]


class CannotEvaluate(Exception):
    """The expression is outside the part of Python that the host evaluates. The message names the construct."""


class Failed(Exception):
    """Evaluating raised: the program's value does not support the operation, or the budget was spent."""


class Run(Meter):
    """One evaluation: the names it can see, and what it may still spend."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__()
        self.names: dict[str, Any] = dict(names)

    def known(self, name: str) -> Any:
        """The value of a name. An exception in its place counts only now that it is looked at."""
        if type(value := self.names[name]) is Raised:
            raise Failed(f"{''.join(value.names[:1])}: {value.text}")
        return value


class Prepared:
    """An expression that the host can evaluate, any number of times."""

    def __init__(self, thunk: Thunk) -> None:
        self._thunk = thunk

    def value(self, names: Mapping[str, Any], purse: Meter | None = None) -> Any:
        """The expression's value where `names` are known. Raises Failed with the exception's text.

        `purse` is what all evaluations for one script may spend together.
        """
        run = Run(names)
        run.left = start = run.left if purse is None else min(run.left, purse.left)
        try:
            return self._thunk(run)
        except (OutOfBudget, RecursionError, MemoryError) as error:
            raise Failed(f"too much work to evaluate: {error}") from error
        except Exception as error:  # any operation on decoded values may raise; that is a fact about the program
            raise Failed(str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}") from error
        finally:
            if purse is not None:
                purse.left -= start - run.left


def prepare(node: ast.expr, known: Collection[str], modules: Mapping[str, str] | None = None) -> Prepared:
    """Check that `node` can be evaluated where the names `known` have values.

    `modules` maps a name to what it was imported as, for instance ``{"m": "math", "sqrt": "math.sqrt"}``.
    Raises CannotEvaluate.
    """
    return Prepared(_Preparer(frozenset(known), modules or {}).expr(node))


class _Preparer:
    """Turns an expression into nested closures, refusing what is not listed."""

    def __init__(self, known: frozenset[str], modules: Mapping[str, str]) -> None:
        self.known = known
        self.modules = modules

    def expr(self, node: ast.expr | None) -> Thunk:
        if node is None:
            return lambda run: None
        method: Callable[[Any], Thunk] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise CannotEvaluate(f"{type(node).__name__} in {ast.unparse(node)[:80]}")
        thunk = method(node)

        def step(run: Run) -> Any:
            run.spend(STEP)
            return thunk(run)

        return step

    def _constant(self, node: ast.Constant) -> Thunk:
        return lambda run: node.value

    def _name(self, node: ast.Name) -> Thunk:
        name = node.id
        if name in self.known:
            return lambda run: run.known(name)
        found = self._global(name)
        return lambda run: found

    def _global(self, name: str) -> Any:
        if self.modules.get(name) in MODULES:
            return MODULES[self.modules[name]]
        if name in BUILTINS and name not in self.modules:
            return BUILTINS[name]
        raise CannotEvaluate(f"the name {name}")

    def _attribute(self, node: ast.Attribute) -> Thunk:
        path = self._path(node)
        if path not in MODULES:
            raise CannotEvaluate(f"the attribute {ast.unparse(node)[:80]}")
        return lambda run: MODULES[path]

    def _path(self, node: ast.expr) -> str:
        """'math.inf' for an attribute of an imported module; '' for anything else."""
        if isinstance(node, ast.Attribute):
            path = self._path(node.value)
            return f"{path}.{node.attr}" if path else ""
        if isinstance(node, ast.Name) and node.id not in self.known:
            return self.modules.get(node.id, "")
        return ""

    def _call(self, node: ast.Call) -> Thunk:
        positional = self._items(node.args)
        if any(keyword.arg is None for keyword in node.keywords):
            raise CannotEvaluate("** in a call")
        named = [(str(keyword.arg), self.expr(keyword.value)) for keyword in node.keywords]
        if isinstance(node.func, ast.Attribute) and not self._path(node.func):
            name = node.func.attr
            if name not in METHOD_NAMES:
                raise CannotEvaluate(f"the method {name}")
            owner = self.expr(node.func.value)
            return lambda run: functions.call_method(
                run, owner(run), name, positional(run), {key: thunk(run) for key, thunk in named}
            )
        target = self.expr(node.func)
        return lambda run: functions.call(run, target(run), positional(run), {key: thunk(run) for key, thunk in named})

    def _items(self, nodes: list[ast.expr]) -> Callable[[Run], list[Any]]:
        parts = [(isinstance(node, ast.Starred), self.expr(_unstarred(node))) for node in nodes]

        def collect(run: Run) -> list[Any]:
            found: list[Any] = []
            for starred, thunk in parts:
                value = thunk(run)
                found.extend(run.iterate(value) if starred else (value,))
            run.weigh(found)
            return found

        return collect

    def _list(self, node: ast.List) -> Thunk:
        return self._items(node.elts)

    def _tuple(self, node: ast.Tuple) -> Thunk:
        items = self._items(node.elts)
        return lambda run: tuple(items(run))

    def _set(self, node: ast.Set) -> Thunk:
        items = self._items(node.elts)
        return lambda run: set(hashable(items(run)))

    def _dict(self, node: ast.Dict) -> Thunk:
        if None in node.keys:
            raise CannotEvaluate("** in a dict")
        pairs = [(self.expr(key), self.expr(value)) for key, value in zip(node.keys, node.values, strict=True)]

        def make(run: Run) -> dict[Any, Any]:
            made = dict(zip(hashable([key(run) for key, _ in pairs]), [value(run) for _, value in pairs], strict=True))
            run.weigh(made)
            return made

        return make

    def _unaryop(self, node: ast.UnaryOp) -> Thunk:
        function, operand = functions.UNARY[type(node.op)], self.expr(node.operand)
        return lambda run: function(operand(run))

    def _binop(self, node: ast.BinOp) -> Thunk:
        if type(node.op) not in functions.BINARY:
            raise CannotEvaluate(f"the operator in {ast.unparse(node)[:80]}")
        function, left, right = functions.BINARY[type(node.op)], self.expr(node.left), self.expr(node.right)
        return lambda run: function(run, left(run), right(run))

    def _boolop(self, node: ast.BoolOp) -> Thunk:
        parts = [self.expr(part) for part in node.values]
        until = isinstance(node.op, ast.Or)

        def decide(run: Run) -> Any:
            value = None
            for part in parts:
                value = part(run)
                if bool(value) is until:
                    break
            return value

        return decide

    def _compare(self, node: ast.Compare) -> Thunk:
        first = self.expr(node.left)
        functions_of = [functions.COMPARE[type(op)] for op in node.ops]
        rest = list(zip(functions_of, map(self.expr, node.comparators), strict=True))

        def chain(run: Run) -> Any:
            left, result = first(run), True
            for function, thunk in rest:
                right = thunk(run)
                result = function(run, left, right)
                if not result:
                    break
                left = right
            return result

        return chain

    def _ifexp(self, node: ast.IfExp) -> Thunk:
        test, yes, no = self.expr(node.test), self.expr(node.body), self.expr(node.orelse)
        return lambda run: yes(run) if test(run) else no(run)

    def _subscript(self, node: ast.Subscript) -> Thunk:
        owner, index = self.expr(node.value), self.expr(node.slice)
        return lambda run: operator.getitem(owner(run), index(run))

    def _slice(self, node: ast.Slice) -> Thunk:
        lower, upper, step = self.expr(node.lower), self.expr(node.upper), self.expr(node.step)
        return lambda run: slice(lower(run), upper(run), step(run))

    def _lambda(self, node: ast.Lambda) -> Thunk:
        names = [argument.arg for argument in node.args.args]
        if any((node.args.posonlyargs, node.args.kwonlyargs, node.args.vararg, node.args.kwarg, node.args.defaults)):
            raise CannotEvaluate("a lambda with more than plain arguments")
        body = _Preparer(self.known | set(names), self.modules).expr(node.body)

        def make(run: Run) -> Lambda:
            def function(*values: Any) -> Any:
                saved = run.names
                run.names = {**saved, **dict(zip(names, values, strict=True))}
                try:
                    return body(run)
                finally:
                    run.names = saved

            return Lambda(function)

        return make

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, parts: list[ast.expr]) -> Any:
        """A function that runs the loops of `node` and returns the values of `parts` for each turn."""
        inner = self
        levels = []
        for loop in node.generators:
            source = inner.expr(loop.iter)
            target = unpacker(loop.target)
            if target is None or loop.is_async:
                raise CannotEvaluate("the target of a comprehension")
            inner = _Preparer(inner.known | target.names, self.modules)
            levels.append((source, target, [inner.expr(test) for test in loop.ifs]))
        thunks = [inner.expr(part) for part in parts]

        def turns(run: Run, level: int) -> Any:
            if level == len(levels):
                yield [thunk(run) for thunk in thunks]
                return
            source, target, tests = levels[level]
            for item in run.iterate(source(run)):
                run.names = {**run.names, **target.bind(run, item)}
                if all(test(run) for test in tests):
                    yield from turns(run, level + 1)

        def collect(run: Run) -> list[Any]:
            saved = run.names
            try:
                found = list(turns(run, 0))
                run.weigh(found)
                return found
            finally:
                run.names = saved

        return collect

    def _listcomp(self, node: ast.ListComp) -> Thunk:
        collect = self._comprehension(node, [node.elt])
        return lambda run: [item for (item,) in collect(run)]

    def _setcomp(self, node: ast.SetComp) -> Thunk:
        collect = self._comprehension(node, [node.elt])
        return lambda run: set(hashable([item for (item,) in collect(run)]))

    def _generatorexp(self, node: ast.GeneratorExp) -> Thunk:
        collect = self._comprehension(node, [node.elt])
        return lambda run: iter([item for (item,) in collect(run)])

    def _dictcomp(self, node: ast.DictComp) -> Thunk:
        collect = self._comprehension(node, [node.key, node.value])  # type: ignore[arg-type]
        return lambda run: functions.call(run, dict, [collect(run)], {})


def _unstarred(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Starred) else node
