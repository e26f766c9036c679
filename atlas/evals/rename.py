"""A program with its variables renamed: the same to a machine, another text to a model.

Only what is surely a variable of the program's own is renamed: local variables and the parameters of inner functions.
Parameters of the outer ones are the task's business, which may name them. What comes out is proven to be the same
program: its syntax tree is the old one with the names exchanged.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import io
import keyword
import tokenize
from collections.abc import Iterator

import numpy as np

from atlas import syntax

SHORT = tuple("abcdeghijkmnpqrstuvwxyz")
LONG = (
    "item", "value", "total", "result", "current", "index", "left", "right", "first", "second", "data", "entry",
    "element", "number", "seen", "best", "start", "stop", "size", "pair", "group", "part", "found", "amount", "answer",
    "answers", "bound", "target", "level", "state", "words", "store", "output", "cache", "memo", "limit", "step",
)
"""Names as people choose them: a short name gets a short one, a long name a long one."""
REFLECTION = frozenset({"locals", "globals", "vars", "dir", "eval", "exec", "getattr", "setattr"})


def renamed(source: str) -> str | None:
    """`source` with its variables renamed, always in the same way; None where none can be renamed for certain."""
    tree = syntax.tree(source)
    if tree is None:
        return None
    used = {token.string for token in _names(source)}
    if used & REFLECTION:
        return None
    exchange = _exchange(sorted(_variables(tree)), used, source)
    if not exchange:
        return None
    text = _replaced(source, exchange)
    again = syntax.tree(text)
    same = again is not None and ast.dump(_Exchanger(exchange).visit(tree)) == ast.dump(again)
    return text if same else None


def _variables(tree: ast.Module) -> set[str]:
    """Names that are bound inside of functions and nowhere else, and that no caller can know."""
    inner: set[str] = set()
    outer: set[str] = set(dir(builtins)) | {"_", "self", "cls"}
    _bound(tree, inner, outer, depth=0)
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            outer.add(node.arg)
        elif isinstance(node, ast.Global):
            outer.update(node.names)
        elif isinstance(node, ast.JoinedStr | ast.Match):
            # Where names stand in them is not told by tokens (f-strings before Python 3.12), or is told otherwise.
            outer.update(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
    return {name for name in inner - outer if not name.startswith("__")}


def _bound(node: ast.AST, inner: set[str], outer: set[str], depth: int) -> None:
    """Sort what each scope binds. `depth`: how many functions are around."""
    for child in ast.iter_child_nodes(node):
        deeper = depth
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outer.add(child.name)
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            (inner if depth else outer).update(argument.arg for argument in _arguments(child.args))
            deeper = depth + 1
        elif isinstance(child, ast.alias):
            outer.add((child.asname or child.name).partition(".")[0])
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            (inner if depth else outer).add(child.id)
        _bound(child, inner, outer, deeper)


def _arguments(given: ast.arguments) -> Iterator[ast.arg]:
    yield from (*given.posonlyargs, *given.args, *given.kwonlyargs)
    yield from (one for one in (given.vararg, given.kwarg) if one)


def _exchange(names: list[str], used: set[str], source: str) -> dict[str, str]:
    """A new name for each, none of them in use; {} where there are not enough."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big"))
    fresh = {kind: [str(n) for n in rng.permutation([n for n in kind if n not in used])] for kind in (SHORT, LONG)}
    out = {}
    for name in names:
        pool = fresh[SHORT if len(name) < 3 else LONG]
        if not pool:
            return {}
        out[name] = pool.pop()
    return out


def _names(source: str) -> Iterator[tokenize.TokenInfo]:
    """Identifiers that stand for themselves: no keyword, and no attribute of something else."""
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and before != "." and not keyword.iskeyword(token.string):
            yield token
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.string


def _replaced(source: str, exchange: dict[str, str]) -> str:
    """Names exchanged in place, so that layout and comments stay. From the end, so that places stay true."""
    lines = source.splitlines(keepends=True)
    for token in reversed([token for token in _names(source) if token.string in exchange]):
        row, column = token.start
        line = lines[row - 1]
        lines[row - 1] = line[:column] + exchange[token.string] + line[token.end[1] :]
    return "".join(lines)


class _Exchanger(ast.NodeTransformer):
    """The same exchange on the syntax tree."""

    def __init__(self, exchange: dict[str, str]) -> None:
        self._exchange = exchange

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(id=self._exchange.get(node.id, node.id), ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._exchange.get(node.arg, node.arg)
        return self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = self._exchange.get(node.name, node.name) if node.name else None
        return self.generic_visit(node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return ast.Nonlocal(names=[self._exchange.get(name, name) for name in node.names])
