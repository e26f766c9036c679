"""Splits an expression of an assert script: what only the program can compute, and what the host can.

The guest's share is as small as it can be: the calls of the program's functions, with their arguments. Whatever is
done with the result (``sorted``, ``len``, comparisons, subscripts, methods of plain values) is the host's share, since
a program could subvert it in its own process.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

from sandbox.compare import is_singleton
from sandbox.functions import BUILTINS, METHOD_NAMES, MODULES
from sandbox.meter import Meter, unpacker
from sandbox.names import Names, NotPure
from sandbox.placing import ASK, Placing
from sandbox.shares import draws, is_share, may_be_skipped
from sandbox.trees import free_names, renamed

MAX_TURNS = 5_000


# Among container methods these are also what programs name their own; of an object they are left to the guest.
OWN_METHODS = frozenset("copy count difference find get index intersection items keys replace union values".split())

ABOUT_OBJECTS = frozenset("abs bool float int len repr str".split())
"""Built-in functions that ask an object for what it has to say."""


class Splitter(Placing):
    """Collects the guest's operations of one script, in order."""

    def part(self, node: Any) -> Any:
        """`node` with the guest's shares replaced by names of their values."""
        if not isinstance(node, ast.AST) or not self.needs_guest(node):
            return node
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Name | ast.Attribute):
            return self.guest(node)
        if isinstance(node, ast.Subscript) and not self.is_value(node.value) and self.needs_guest(node.value):
            return self.guest(node)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
            return self.comprehension(node)
        if isinstance(node, ast.Compare):
            self.refuse_identity(node)
        if isinstance(node, ast.BinOp):
            self.refuse_objects(node.left, node.right)
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            raise NotPure(f"the program is called inside {ast.unparse(node)[:80]}")
        return self.rebuild(node)

    def refuse_identity(self, node: ast.Compare) -> None:
        """Values travel as copies, so `is` means something only where one side is None, True, a type and the like."""
        sides = [node.left, *node.comparators]
        for op, *pair in zip(node.ops, sides, node.comparators, strict=False):
            self.refuse_objects(*pair)
            if isinstance(op, ast.Is | ast.IsNot) and not any(map(self.is_one_of_a_kind, pair)):
                raise NotPure(f"it asks whether two objects are one: {ast.unparse(node)[:80]}")

    def refuse_objects(self, *nodes: ast.expr) -> None:
        """What an object of the program is worth beside another one is to be asked of both, where they live."""
        needs = self.needs_guest
        if all(needs(node) and is_share(node, needs) and not self.is_value(node) for node in nodes):
            raise NotPure(f"it is about objects of the program: {', '.join(map(ast.unparse, nodes))[:80]}")

    def is_one_of_a_kind(self, node: ast.expr) -> bool:
        """Whether an expression gives a value that every process has one of."""
        if self.needs_guest(node):
            return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type"
        value = self.host(node)
        return is_singleton(value) or (type(value) is int and -5 <= value <= 256)

    def rebuild(self, node: Any) -> Any:
        """A copy of `node` whose children are split."""
        made, skipped, get = copy.copy(node), may_be_skipped(node), self.get
        for name, child in ast.iter_fields(node):
            parts = []
            for item in child if isinstance(child, list) else [child]:
                self.get = ASK if item in skipped else get
                parts.append(self.part(item))
            setattr(made, name, parts if isinstance(child, list) else parts[0])
        self.get = get
        return made

    def call(self, node: ast.Call) -> ast.expr:
        """Split a call that needs the guest somewhere."""
        target = node.func
        if draws(node) and is_share(node, self.needs_guest):
            return self.guest(node)
        if isinstance(target, ast.Attribute) and self.needs_guest(target.value):
            if target.attr.startswith("__"):
                raise NotPure(f"it calls {target.attr}")
            hosts = METHOD_NAMES if self.is_value(target.value) else METHOD_NAMES - OWN_METHODS
            if target.attr not in hosts:
                return self.guest(node)
            made = copy.copy(node)
            made.func = ast.Attribute(value=self.part(target.value), attr=target.attr, ctx=ast.Load())
            made.args = [self.part(argument) for argument in node.args]
            made.keywords = [self.part(keyword) for keyword in node.keywords]
            return made
        if self.needs_guest(target):
            return self.guest(node)
        if isinstance(target, ast.Name):
            imported = self.names.modules.get(target.id)
            if not (target.id in BUILTINS or imported in MODULES or target.id in self.names.host):
                raise NotPure(f"{target.id}() is called on what the program returns")
            if target.id in ABOUT_OBJECTS and node.args:
                self.refuse_objects(*node.args)
            if target.id == "isinstance" and len(node.args) == 2 and self.needs_guest(node.args[1]):
                raise NotPure("isinstance of a class of the program")
        return self.rebuild(node)  # type: ignore[no-any-return]

    def is_value(self, node: ast.expr) -> bool:
        """Whether plain data is to be expected of an expression of the guest, judged by its looks."""
        if isinstance(node, ast.Call):
            target = node.func
            named = target.id if isinstance(target, ast.Name) else ""
            return not named[:1].isupper() and self.names.owned.get(named) != "class"
        if isinstance(node, ast.Name):
            return self.names.owned.get(node.id) == "value" or node.id in self.reading
        return isinstance(node, ast.Attribute) or (isinstance(node, ast.Subscript) and self.is_value(node.value))

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp) -> ast.expr:
        """Split a comprehension: over what the program returns, or with calls of the program for known values."""
        first = node.generators[0]
        over = copy.copy(node)
        over.generators = [copy.copy(first), *node.generators[1:]]
        over.generators[0].iter = ast.Constant(value=None)
        if not self.needs_guest(over):
            over.generators[0].iter = self.part(first.iter)
            return over
        if isinstance(node, ast.DictComp):
            raise NotPure(f"the program is called inside {ast.unparse(node)[:80]}")
        return self.unroll(node)

    def unroll(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> ast.expr:
        """A comprehension that calls the program, written out as a list of its elements."""
        saved = self.names
        items: list[ast.expr] = []
        try:
            for _ in self.turns(node.generators):
                items.append(self.freeze(self.part(node.elt), saved))
        finally:
            self.names = saved
        made = ast.List(elts=items, ctx=ast.Load())
        return ast.Set(elts=items) if isinstance(node, ast.SetComp) and items else made

    def turns(self, loops: list[ast.comprehension]) -> Iterator[None]:
        """Run nested loops over known values; at each turn `self.names` holds the loops' names."""
        if not loops:
            yield
            return
        outer = self.names
        for item in self.loop_values(loops[0].iter):
            self.names = outer.scope(self.held())
            self.bind(loops[0].target, item)
            if all(self.host(test) for test in loops[0].ifs):
                yield from self.turns(loops[1:])
        self.names = outer

    def loop_values(self, node: ast.expr) -> list[Any]:
        if self.needs_guest(node):
            raise NotPure(f"it loops over what the program returns: {ast.unparse(node)[:80]}")
        values = list(Meter().iterate(self.host(node)))
        if len(values) > MAX_TURNS:
            raise NotPure(f"a loop of more than {MAX_TURNS} turns")
        return values

    def bind(self, target: ast.expr, value: Any) -> None:
        """Bind a target of names to a known value."""
        pattern = unpacker(target)
        if pattern is None:
            raise NotPure(f"an assignment to {ast.unparse(target)[:80]}")
        for name, item in pattern.bind(Meter(), value).items():
            self.names.forget(name)
            self.names.host[name] = item

    def freeze(self, node: ast.expr, outer: Names) -> ast.expr:
        """`node` with the names of a loop replaced by names in `outer` that no later turn changes."""
        frozen_names: dict[str, ast.expr] = {}
        for name in free_names(node) & set(self.names.host):
            self.fresh += 1
            frozen = f"<{name} {self.fresh}>"
            outer.host[frozen] = self.names.host[name]
            frozen_names[name] = ast.Name(id=frozen, ctx=ast.Load())
        found: ast.expr = renamed(node, frozen_names)
        return found
