"""Reads an assert script as a whole: what it defines itself, what it takes from the program, what it tests."""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from dataclasses import dataclass
from functools import cache, lru_cache

from sandbox.compare import parse
from sandbox.discovery import refuse_what_only_pytest_gives
from sandbox.errors import InvalidCheck
from sandbox.trees import free_names, root

_STAR_MODULES = frozenset(
    "bisect collections datetime functools heapq itertools math operator random re string typing".split()
)
_LIBRARY = sys.stdlib_module_names | {"pytest"}


MAX_NODES = 200_000


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What can be said of a script without following it. The tree is shared: copy it before changing it."""

    tree: ast.Module
    bound: frozenset[str]
    """Names that the script binds anywhere."""
    shadows: frozenset[str]
    """Built-in names that the script must mean as the program's own."""
    helpers: frozenset[str]
    """Names of the program, besides the tested one, that a script of the form ``check(f)`` relies on.

    A program that defines them anew could make any answer look right.
    """

    def is_programs(self, name: str) -> bool:
        """Whether a name that the script reads is the program's."""
        return name not in self.bound and (name in self.shadows or not hasattr(builtins, name))


@lru_cache(maxsize=512)
def outline(code: str) -> Outline:
    """Read a script. Raises InvalidCheck where it does not parse or is too large to be followed."""
    tree = parse(code, "the assert script", "exec")
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise InvalidCheck(f"the assert script has more than {MAX_NODES} parts; write several smaller checks")
    refuse_what_only_pytest_gives(tree)
    bound = _bound(tree)
    modules = _used_modules(tree) - bound
    first = _after_future_imports(tree)
    imports = [ast.Import(names=[ast.alias(name=name)], lineno=1, col_offset=0) for name in sorted(modules)]
    tree.body[first:first] = imports
    bound |= modules
    tested = _tested(tree, bound)
    shadows = {name for name in tested if hasattr(builtins, name)} if tested else _shadows(tree, bound)
    unknown = {name for name in free_names(tree) - bound if not hasattr(builtins, name)} | shadows
    return Outline(
        tree=tree,
        bound=frozenset(bound),
        shadows=frozenset(shadows),
        helpers=frozenset(unknown - tested if tested else ()),
    )


def with_helpers(code: str, definitions: str) -> str:
    """The script, with the helpers that it would take from the program defined as `definitions` does.

    A script that brings its own helpers cannot be fooled by a program that defines them anew. Imports come along, for
    the helpers may need them. Raises InvalidCheck where one of the texts does not parse.
    """
    whole = outline(code)
    wanted = set(whole.helpers)
    tested = {name for name in free_names(whole.tree) if whole.is_programs(name)} - wanted
    body = parse(definitions, "the text with the helpers", "exec").body if wanted else []
    offered = {part.name: part for part in body if isinstance(part, ast.FunctionDef | ast.ClassDef)}
    offered = {name: part for name, part in offered.items() if name not in tested}
    todo = [offered[name] for name in wanted & offered.keys()]
    while todo:  # a helper may need others
        more = free_names(todo.pop()) & offered.keys() - wanted
        wanted |= more
        todo += [offered[name] for name in more]
    found = [part for name, part in offered.items() if name in wanted]
    imports = [part for part in body if isinstance(part, ast.Import | ast.ImportFrom)]
    return "\n\n".join([*map(ast.unparse, [*imports, *found]), code]) if found else code


@cache
def star_names(module: str) -> tuple[str, ...]:
    """What ``from module import *`` binds, for modules of the standard library that are harmless to look into.

    Names that `operator` shares with the built-in functions mean the same; they are left out.
    """
    if module not in _STAR_MODULES:
        return ()
    found = importlib.import_module(module)
    names = getattr(found, "__all__", [name for name in vars(found) if not name.startswith("_")])
    return tuple(name for name in names if module != "operator" or not hasattr(builtins, name))


def is_foreign_import(node: ast.stmt) -> bool:
    """An import of neither the standard library nor pytest: its names are taken to be the program's."""
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").split(".")[0] not in _LIBRARY
    return isinstance(node, ast.Import) and all(alias.name.split(".")[0] not in _LIBRARY for alias in node.names)


def _bound(tree: ast.Module) -> set[str]:
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom) and not is_foreign_import(node):
            for alias in node.names:
                star = isinstance(node, ast.ImportFrom) and alias.name == "*"
                bound.update(star_names(node.module or "") if star else [alias.asname or alias.name.split(".")[0]])  # type: ignore[union-attr]
    return bound


def _used_modules(tree: ast.Module) -> set[str]:
    """Modules of the standard library that the script uses as such. The program's of that name may be anything."""
    used = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in sys.stdlib_module_names
    }
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return used - called


def _after_future_imports(tree: ast.Module) -> int:
    imports = [(at, part) for at, part in enumerate(tree.body) if isinstance(part, ast.ImportFrom)]
    found = [at for at, part in imports if part.module == "__future__"]
    return found[-1] + 1 if found else 0


def _shadows(tree: ast.Module, bound: set[str]) -> set[str]:
    """A script that calls no unknown name at all tests a function that is named like a built-in one."""
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    if any(not hasattr(builtins, name) and name not in bound for name in calls):
        return set()
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    for test in tests:
        left = test.left if isinstance(test, ast.Compare) else test
        if isinstance(left, ast.Call) and isinstance(left.func, ast.Name) and left.func.id not in bound:
            return {left.func.id}
    return set()


def _tested(tree: ast.Module, bound: set[str]) -> set[str]:
    """What ``check(f)`` tests, in a script that defines ``check``; nothing in scripts of another form."""
    found = set()
    for part in tree.body:
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call) and isinstance(part.value.func, ast.Name):
            if part.value.func.id in bound and len(part.value.args) == 1:
                found.add(root(part.value.args[0]))
    return found - bound - {""}
