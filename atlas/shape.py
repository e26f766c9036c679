"""What a program looks like once names no longer matter: two programs of one shape do the same thing alike."""

from __future__ import annotations

import ast
import builtins
import hashlib
import re

from sandbox.reading import syntax_tree

_TOKEN = re.compile(r"\w+|[^\s\w]")
_OWN = re.compile(r"v\d+")


def shape(tree: ast.Module) -> str | None:
    """The program with its own names numbered in the order of their first occurrence; None where it is too deep.

    Builtins and what is imported keep their names, however the import spells them; docstrings, annotations and the
    import statements themselves are left out.
    """
    try:
        text = ast.unparse(tree)  # of a copy: `tree` stays as it is
        own = syntax_tree(text)
        return ast.unparse(ast.fix_missing_locations(_Renamer(_imported(own)).visit(own)))
    except (RecursionError, SyntaxError, ValueError, MemoryError):
        return None


def expressions(shape_: str) -> frozenset[bytes]:
    """A digest of each expression of a shape, all of the program's own names alike: what two shapes can have in common.

    What a program computes lies in its expressions, and siblings that are right share more of them than of its text.
    """
    found: set[bytes] = set()

    def visit(node: ast.AST) -> bytes:
        parts = [type(node).__name__]
        for name, value in ast.iter_fields(node):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.expr_context):
                    continue  # a name is the same name where it is read and where it is set
                said = visit(item).hex() if isinstance(item, ast.AST) else repr(item)
                parts.append(f"{name}={'own' if name in ('id', 'arg') and _OWN.fullmatch(str(item)) else said}")
        digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=12).digest()
        if isinstance(node, ast.expr):
            found.add(digest)
        return digest

    visit(syntax_tree(shape_))
    return frozenset(found)


def trigrams(text: str) -> frozenset[tuple[str, str, str]]:
    """Each three tokens in a row: what two texts can have in common that are not Python."""
    tokens = ["", *_TOKEN.findall(text), ""]
    return frozenset(zip(tokens, tokens[1:], tokens[2:], strict=False))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Names that imports bind -> what they stand for, such as np -> numpy."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                      for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module or ''}.{a.name}" for a in node.names}
    return found


class _Renamer(ast.NodeTransformer):
    def __init__(self, known: dict[str, str]) -> None:
        self._known = known
        self._order: dict[str, str] = {}

    def _number(self, name: str) -> str:
        if name in self._known:
            return self._known[name].replace(".", "·")  # a dot would read as an attribute
        if hasattr(builtins, name):
            return name
        return self._order.setdefault(name, f"v{len(self._order)}")

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(id=self._number(node.id), ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=self._number(node.arg), annotation=None)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._number(node.name)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name, node.returns = self._number(node.name), None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.name, node.returns = self._number(node.name), None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._number(node.name)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return ast.Global(names=[self._number(name) for name in node.names])

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return ast.Nonlocal(names=[self._number(name) for name in node.names])

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)  # docstrings say nothing

    def generic_visit(self, node: ast.AST) -> ast.AST:
        visited = super().generic_visit(node)
        if getattr(visited, "body", None) == [] and not isinstance(visited, ast.Module):
            visited.body = [ast.Pass()]  # type: ignore[attr-defined]  # what is left out must leave no empty block
        return visited
