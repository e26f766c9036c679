"""Gives the guest what it needs of an assert script: names, operations, and the texts of its share.

The guest has one scope for all of a script's; what a name means there is remembered here.
"""

from __future__ import annotations

import ast
import builtins
import copy
from typing import Any

from sandbox.compare import source
from sandbox.expressions import CannotEvaluate, Failed, Prepared, prepare
from sandbox.functions import BUILTINS
from sandbox.meter import Meter
from sandbox.names import Names, NotPure, is_stand_in, stand_in
from sandbox.reading import syntax_tree
from sandbox.shares import KnownParts, is_share
from sandbox.trees import free_names, renamed, root

DO, GET, TRY, ASK = 0, 1, 2, 3
MAX_OPS = 5_000
MAX_SENT = 8_000_000
MUTABLE = (list, dict, set, bytearray)


class Placing:
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
        self.get = GET
        """How a value is asked for: ASK, which stands exceptions, where the script may never look at it."""
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
        """`sandbox.trees.free_names`, in order, and found only once for each node."""
        if node not in self._free_names:
            self._free_names[node] = sorted(free_names(node))
        return self._free_names[node]

    def held(self) -> set[str]:
        """Names that the guest, which has one scope for all, knows by what they mean here."""
        names = self.names
        changed = {name for name in self.placed if isinstance(names.host.get(name), MUTABLE)}
        return changed | set(names.owned) | {root(target) for target in names.alias.values()}

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
            syntax_tree(text, mode="eval")
        except (SyntaxError, ValueError, MemoryError):
            raise NotPure(f"the value of {name} cannot be sent") from None
        self.placed[name] = value
        self.emit(DO, f"{name} = {text}")

    def guest(self, node: ast.expr) -> ast.expr:
        """Let the guest compute `node`; the name that stands for its value on the host."""
        if not is_share(node, self.needs_guest):
            raise NotPure(f"the program would be beside what judges it: {ast.unparse(node)[:80]}")
        self.emit(self.get, self.place(node))
        self.values += 1
        return ast.Name(id=stand_in(self.values - 1), ctx=ast.Load())

    # The host's share

    def host(self, node: ast.expr) -> Any:
        """The value of an expression that needs nothing of the guest. Raises CannotEvaluate, Failed."""
        return self.prepared(node).value(self.names.host, self.purse)

    def prepared(self, node: ast.expr) -> Prepared:
        values = set(filter(is_stand_in, free_names(node)))
        return prepare(node, set(self.names.host) | values, self.names.modules)
