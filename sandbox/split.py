"""Splits an expression of an assert script: what only the program can compute, and what the host can.

The guest's share is as small as it can be: the calls of the program's functions, with their arguments. Whatever is
done with the result (``sorted``, ``len``, comparisons, subscripts, methods of plain values) is the host's share, since
a program could subvert it in its own process.
"""

from __future__ import annotations

import ast
import builtins
import copy
import operator
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.compare import source
from sandbox.expressions import CannotEvaluate, Failed, Prepared, prepare
from sandbox.functions import BUILTINS, METHOD_NAMES, MODULES
from sandbox.meter import Meter, unpacker
from sandbox.names import Names, NotPure, is_stand_in, stand_in
from sandbox.script import free_names
from sandbox.shares import KnownParts, is_share

DO, GET, TRY, ASK = 0, 1, 2, 3
MAX_OPS = 5_000
MAX_SENT = 8_000_000
MAX_TURNS = 5_000
MUTABLE = (list, dict, set, bytearray)


# Among container methods these are also what programs name their own; of an object they are left to the guest.
OWN_METHODS = frozenset("copy count difference find get index intersection items keys replace union values".split())


class Splitter:
    """Collects the guest's operations of one script, in order."""

    def __init__(self, shadows: frozenset[str]) -> None:
        self.names = Names(host={"__name__": "__main__"})
        self.shadows = shadows
        self.ops: list[tuple[int, str]] = []
        self.values = 0
        self.placed: dict[str, Any] = {}
        self.sent = 0
        self._free_names: dict[ast.AST, list[str]] = {}
        self.purse = Meter()
        self.reading: frozenset[str] = frozenset()
        self.fresh = 0

    # What a name means

    def is_guests(self, name: str) -> bool:
        """Whether reading `name` needs the guest. Raises NotPure for names that cannot be followed."""
        names = self.names
        if name in names.functions or name in names.closed:
            raise NotPure(f"it uses {name}, which the script defines in a way that cannot be followed")
        if name in self.reading or name in names.owned or name in names.alias:
            return True
        if name in names.host or name in names.modules:
            return False
        return name in self.shadows or not (hasattr(builtins, name) or name in BUILTINS)

    def needs_guest(self, node: ast.AST) -> bool:
        return any([self.is_guests(name) for name in self.free_names(node)])

    def free_names(self, node: ast.AST) -> list[str]:
        """`sandbox.script.free_names`, in order, and found only once for each node."""
        if node not in self._free_names:
            self._free_names[node] = sorted(free_names(node))
        return self._free_names[node]

    # The guest's share

    def emit(self, op: int, text: str) -> None:
        if len(self.ops) >= MAX_OPS:
            raise NotPure(f"it makes more than {MAX_OPS} calls")
        self.sent += len(text)
        if self.sent > MAX_SENT:
            raise NotPure(f"it gives the program more than {MAX_SENT} characters")
        self.ops.append((op, text))

    def place(self, node: ast.AST) -> str:
        """Give the guest every name that `node` needs, then `node` itself as source text."""
        node = self.with_known_parts(node)
        for name in self.free_names(node):
            self.is_guests(name)
            if name in self.names.imports and self.placed.get(name) != self.names.imports[name]:
                self.placed[name] = self.names.imports[name]
                self.emit(DO, self.names.imports[name])
            elif name in self.names.host and name not in self.reading:
                self.put(name, self.names.host[name])
        if not self.names.alias.keys().isdisjoint(self.free_names(node)):
            node = renamed(node, self.names.alias)
        return ast.unparse(node)

    def with_known_parts(self, node: ast.AST) -> ast.AST:
        """`node` with the values of what is known here in place of the larger things that they are parts of."""
        if not self.holds_known(node):
            return node
        known = KnownParts(self.holds_known, self.evaluated)
        node = known.visit(copy.deepcopy(node))
        if isinstance(node, ast.stmt) and any(isinstance(value, MUTABLE) for value in known.values):
            raise NotPure(f"line {node.lineno}: it calls the program for what that does to a part of something")
        return copy.deepcopy(node)  # what names a node reads is remembered by node, and these have changed

    def holds_known(self, node: ast.AST) -> bool:
        return any(name in self.names.host and name not in self.reading for name in self.free_names(node))

    def evaluated(self, node: ast.expr) -> list[Any]:
        """The value of `node`; none where it needs the guest or is beyond the host."""
        try:
            return [] if self.needs_guest(node) else [self.host(node)]
        except (CannotEvaluate, Failed):
            return []

    def put(self, name: str, value: Any) -> None:
        if name in self.placed and self.placed[name] is value:
            return
        text = source(value)
        try:
            ast.parse(text, mode="eval")
        except (SyntaxError, ValueError, MemoryError):
            raise NotPure(f"the value of {name} cannot be sent") from None
        self.placed[name] = value
        self.emit(DO, f"{name} = {text}")

    def guest(self, node: ast.expr, op: int = GET) -> ast.expr:
        """Let the guest compute `node`; the name that stands for its value on the host."""
        if not is_share(node, self.needs_guest):
            raise NotPure(f"the program would be beside what judges it: {ast.unparse(node)[:80]}")
        self.emit(op, self.place(node))
        self.values += 1
        return ast.Name(id=stand_in(self.values - 1), ctx=ast.Load())

    # The host's share

    def host(self, node: ast.expr) -> Any:
        """The value of an expression that needs nothing of the guest. Raises CannotEvaluate, Failed."""
        return self.prepared(node).value(self.names.host, self.purse)

    def prepared(self, node: ast.expr) -> Prepared:
        values = set(filter(is_stand_in, free_names(node)))
        return prepare(node, set(self.names.host) | values, self.names.modules)

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
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            raise NotPure(f"the program is called inside {ast.unparse(node)[:80]}")
        return self.rebuild(node)

    def rebuild(self, node: Any) -> Any:
        """A copy of `node` whose children are split."""
        made = copy.copy(node)
        for name, child in ast.iter_fields(node):
            setattr(made, name, [self.part(item) for item in child] if isinstance(child, list) else self.part(child))
        return made

    def call(self, node: ast.Call) -> ast.expr:
        """Split a call that needs the guest somewhere."""
        target = node.func
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
            self.names = outer.scope()
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


def renamed(node: Any, names: Mapping[str, ast.expr]) -> Any:
    """`node` with the names that it reads replaced. What holds none of them is shared, not copied."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
    if isinstance(node, list):
        items = [renamed(item, names) for item in node]
        return node if all(map(operator.is_, items, node)) else items
    made = node
    for field in node._fields if isinstance(node, ast.AST) else ():
        child = getattr(node, field, None)
        replaced = renamed(child, names) if isinstance(child, ast.AST | list) else child
        if replaced is not child:
            made = copy.copy(node) if made is node else made
            setattr(made, field, replaced)
    return made
