"""What can be said of a piece of a script by looking at its syntax tree."""

from __future__ import annotations

import ast
import copy
import operator
from collections.abc import Mapping
from typing import Any

SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
"""What has names of its own, bound inside only."""


def free_names(node: ast.AST) -> set[str]:
    """Names that `node` reads and does not bind itself. What a comprehension or a lambda binds is bound inside only."""
    read: set[str] = set()
    bound: set[str] = set()
    todo: list[Any] = [node]
    while todo:  # most of the time that reading a script takes is spent here, hence no `ast.walk`
        part = todo.pop()
        if isinstance(part, ast.Name):
            (read if isinstance(part.ctx, ast.Load) else bound).add(part.id)
            continue
        if isinstance(part, ast.arg):
            bound.add(part.arg)
        if isinstance(part, SCOPES):
            own = own_names(part)
            for child in ast.iter_child_nodes(part):
                read |= free_names(child) - own
            todo += evaluated_outside(part)
            continue
        for field in part._fields:
            inner = getattr(part, field, None)
            if isinstance(inner, list):
                todo += [item for item in inner if isinstance(item, ast.AST)]
            elif isinstance(inner, ast.AST):
                todo.append(inner)
    return read - bound


def own_names(scope: ast.AST) -> set[str]:
    """What a lambda or a comprehension binds for itself."""
    if isinstance(scope, ast.Lambda):
        return {part.arg for part in ast.walk(scope.args) if isinstance(part, ast.arg)}
    targets = [loop.target for loop in scope.generators]  # type: ignore[attr-defined]
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}


def evaluated_outside(scope: ast.AST) -> list[ast.expr]:
    """Parts of a lambda or a comprehension in which its own names mean what they mean around it."""
    if isinstance(scope, ast.Lambda):
        return [part for part in (*scope.args.defaults, *scope.args.kw_defaults) if part is not None]
    return [scope.generators[0].iter]  # type: ignore[attr-defined]


def root(node: ast.expr) -> str:
    """The name that an expression such as ``Solution().twoSum`` starts from; empty where it starts from none."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def renamed(node: Any, names: Mapping[str, ast.expr]) -> Any:
    """`node` with the names that it reads replaced. What holds none of them is shared, not copied."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
    if isinstance(node, list):
        items = [renamed(item, names) for item in node]
        return node if all(map(operator.is_, items, node)) else items
    own = own_names(node) if isinstance(node, SCOPES) else set()
    inside = {name: other for name, other in names.items() if name not in own}
    made = node
    for field in node._fields if isinstance(node, ast.AST) else ():
        child: Any = getattr(node, field, None)
        replaced = renamed(child, inside) if isinstance(child, ast.AST | list) else child
        if field == "generators":
            first = copy.copy(replaced[0])
            first.iter = renamed(node.generators[0].iter, names)
            replaced = [first, *replaced[1:]]
        if replaced is not child:
            made = copy.copy(node) if made is node else made
            setattr(made, field, replaced)
    return made


def is_failure(statement: ast.stmt) -> bool:
    """`assert False`, `raise AssertionError(...)` or `pytest.fail(...)`."""
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and not statement.test.value
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        return ast.unparse(statement.exc).startswith("AssertionError")
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith(("pytest.fail(", "self.fail("))


def is_true(statement: ast.stmt) -> bool:
    """`assert True`."""
    test = statement.test if isinstance(statement, ast.Assert) else None
    return isinstance(test, ast.Constant) and bool(test.value)
