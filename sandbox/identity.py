"""Finds where a script asks whether two objects are one: what travels between processes is a copy of itself."""

from __future__ import annotations

import ast
import builtins

from sandbox.script import Outline

_METHODS = frozenset(("assertIs", "assertIsNot"))
_SMALL = range(-5, 257)
"""Integers that the interpreter has one of each."""


def asks_for_identity(script: Outline) -> int:
    """The line in which something of the program's is compared by `is` or `id`; 0 where there is none."""
    of_program = _of_program(script)
    for node in ast.walk(script.tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            pairs = zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False)
            sides = [side for op, *pair in pairs if isinstance(op, ast.Is | ast.IsNot) for side in _told(pair)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            sides = _told(node.args[:2])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id":
            sides = node.args[:1]
        if any(isinstance(part, ast.Name) and part.id in of_program for side in sides for part in ast.walk(side)):
            return int(getattr(node, "lineno", 1))
    return 0


def _told(pair: list[ast.expr]) -> list[ast.expr]:
    """Both sides, unless one is None, True, a type or the like, of which there is one in every process."""
    return [] if any(map(_is_one_of_a_kind, pair)) else pair


def _is_one_of_a_kind(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None or node.value is ... or (isinstance(node.value, int) and node.value in _SMALL)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "type"
    return isinstance(node, ast.Name) and isinstance(getattr(builtins, node.id, None), type)


def _of_program(script: Outline) -> set[str]:
    """Names of the program, and those that the script gives to what it makes of them."""
    names = {part.id for part in ast.walk(script.tree) if isinstance(part, ast.Name) and script.is_programs(part.id)}
    assigned = [part for part in ast.walk(script.tree) if isinstance(part, ast.Assign)]
    for _ in assigned:
        more = {
            target.id
            for part in assigned
            if any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(part.value))
            for whole in part.targets
            for target in ast.walk(whole)
            if isinstance(target, ast.Name)
        }
        if more <= names:
            break
        names |= more
    return names
