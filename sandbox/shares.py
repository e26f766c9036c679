"""What of an assert script may be computed beside the program, and what of that is known before.

The guest's share is calls of the program, their results as they are, and their arguments. Whatever judges a result (a
comparison, a boolean, `isinstance`) is never part of it, not even on the way to a variable: in its own process a
program decides what its objects are equal to. And where an argument is a part of something larger, such as
``case["input"]`` of a case that holds the expected value too, only that part is sent.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from sandbox.compare import source
from sandbox.names import NotPure
from sandbox.reading import syntax_tree

CONVERSIONS = frozenset(
    "abs bytes complex dict enumerate float frozenset int iter len list map max min next range reversed round set "
    "sorted str sum tuple zip".split()
)
"""Built-in functions that prepare an argument; what they are given is no business of the program's."""
_TRANSPARENT = (
    ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred, ast.BinOp, ast.Subscript, ast.Slice, ast.JoinedStr,
    ast.FormattedValue, ast.keyword,
)  # fmt: skip
_OWN_NAMES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Needs = Callable[[ast.AST], bool]
"""Whether a node needs the guest."""


def is_share(node: ast.expr, needs: Needs) -> bool:
    """Whether `node` is the guest's as a whole: a name of the program, a call of one, a part of its result."""
    if isinstance(node, ast.Name):
        return needs(node)
    if isinstance(node, ast.Attribute):
        return is_share(node.value, needs)
    if isinstance(node, ast.Subscript):
        return is_share(node.value, needs) and is_input(node.slice, needs)
    if isinstance(node, ast.Call):
        given = (*node.args, *node.keywords)
        asked = node.args[0] if draws(node) else node.func
        return is_share(asked, needs) and all(is_input(part, needs) for part in given)
    return False


def draws(node: ast.Call) -> bool:
    """Whether a call takes items from an iterator. Where it lives, for all of them may be without end."""
    name = ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""
    return name in ("next", "islice", "itertools.islice") and bool(node.args)


def may_be_skipped(node: ast.AST) -> list[ast.expr]:
    """The parts of an expression that Python evaluates only where others leave the matter open."""
    if isinstance(node, ast.BoolOp):
        return node.values[1:]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return node.comparators[1:] if isinstance(node, ast.Compare) else []


def may_be_run(statement: ast.Expr | ast.Assign, needs: Needs) -> bool:
    """Whether the guest may run a statement: a call, results put into variables, or a change to its own object."""
    if isinstance(statement, ast.Expr):
        return is_share(statement.value, needs)
    if all(isinstance(target, ast.Attribute | ast.Subscript) for target in statement.targets):
        return all(is_share(target, needs) for target in statement.targets) and is_input(statement.value, needs)
    value, plain = statement.value, (ast.Name, ast.Tuple, ast.List)
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return all(isinstance(target, plain) for target in statement.targets) and all(is_share(one, needs) for one in parts)


def is_input(node: ast.AST, needs: Needs) -> bool:
    """Whether `node` may be an argument: known here, the guest's, or made of both without judging the latter."""
    if not needs(node) or (isinstance(node, ast.expr) and is_share(node, needs)):
        return True
    if isinstance(node, ast.UnaryOp):
        return not isinstance(node.op, ast.Not) and is_input(node.operand, needs)
    if isinstance(node, ast.Call):
        named = isinstance(node.func, ast.Name) and node.func.id in CONVERSIONS
        return named and all(is_input(part, needs) for part in (*node.args, *node.keywords))
    if not isinstance(node, _TRANSPARENT):
        return False
    return all(is_input(part, needs) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr))


class KnownParts(ast.NodeTransformer):
    """Replaces, in place, the parts of an expression that are known on the host by their values. Plain names stay.

    `evaluate` gives the value of a part, in a list; an empty list where it has none here.
    """

    def __init__(self, holds_known: Callable[[ast.AST], bool], evaluate: Callable[[ast.expr], list[Any]]) -> None:
        self.holds_known = holds_known
        self.evaluate = evaluate
        self.values: list[Any] = []

    def visit(self, node: ast.AST) -> Any:
        """Called for every node."""
        if isinstance(node, ast.Name | ast.Constant) or not self.holds_known(node):
            return node
        if not isinstance(node, ast.expr) or isinstance(node, ast.Starred):
            return self.generic_visit(node)
        found = self.evaluate(node)
        if not found:  # names that a lambda or a comprehension binds mean something else inside
            return node if isinstance(node, _OWN_NAMES) else self.generic_visit(node)
        self.values += found
        try:
            return syntax_tree(source(found[0]), mode="eval").body
        except (SyntaxError, ValueError, MemoryError):
            raise NotPure(f"the value of {ast.unparse(node)[:80]} cannot be sent") from None
