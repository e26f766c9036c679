"""What evaluating a check may cost the host, and how values are bound to names."""

from __future__ import annotations

import ast
import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

BUDGET = 3_000_000
CONTAINERS = (list, tuple, set, frozenset, dict, collections.Counter, collections.defaultdict, collections.OrderedDict)


class OutOfBudget(Exception):
    """An expression asked for more work than a check may cost the host."""


class Meter:
    """What one evaluation may still spend. A unit is about one step of the interpreter or one element touched."""

    def __init__(self) -> None:
        self.left = BUDGET

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise OutOfBudget("the expression does more than a check may cost")

    def iterate(self, value: Any) -> Iterator[Any]:
        """The elements of `value`, each paid for."""
        for item in value:
            self.spend(1)
            yield item

    def weigh(self, value: Any) -> None:
        """Pay for every element inside `value`, counting one that occurs twice twice."""
        todo = [value]
        while todo:
            item = todo.pop()
            kind = type(item)
            if kind in (int, str, bytes):
                self.spend(item.bit_length() >> 6 if kind is int else len(item) >> 4)
            elif kind in CONTAINERS:
                self.spend(len(item) + 1)
                todo.extend(item)
                if isinstance(item, dict):
                    todo.extend(item.values())


@dataclass(frozen=True)
class Unpacker:
    """The target of a loop or an assignment: a name, or a tuple of targets."""

    names: frozenset[str]
    bind: Callable[[Meter, Any], dict[str, Any]]


def unpacker(target: ast.expr) -> Unpacker | None:
    """How a value is bound to `target`; None where the target is not made of names."""
    if isinstance(target, ast.Name):
        name = target.id
        return Unpacker(frozenset((name,)), lambda run, value: {name: value})
    if not isinstance(target, ast.Tuple | ast.List):
        return None
    parts = [unpacker(part) for part in target.elts]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None

    def bind(run: Meter, value: Any) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        for part, item in zip(known, run.iterate(value), strict=True):
            bound.update(part.bind(run, item))
        return bound

    return Unpacker(frozenset().union(*(part.names for part in known)), bind)
