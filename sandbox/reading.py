"""Python's own parser, used by one thread at a time."""

from __future__ import annotations

import ast
import threading
from typing import Literal, overload

_ONE_AT_A_TIME = threading.Lock()
"""CPython 3.11 counts the depth of a tree in the making in one place for all threads: where two are made at once, one
ends in SystemError, "AST constructor recursion depth mismatch"."""


@overload
def syntax_tree(text: str, mode: Literal["exec"] = "exec") -> ast.Module: ...
@overload
def syntax_tree(text: str, mode: Literal["eval"]) -> ast.Expression: ...
@overload
def syntax_tree(text: str, mode: str) -> ast.Module | ast.Expression: ...


def syntax_tree(text: str, mode: str = "exec") -> ast.AST:
    """`ast.parse`, safe in threads. Raises SyntaxError, ValueError, RecursionError, MemoryError."""
    with _ONE_AT_A_TIME:
        return ast.parse(text, mode=mode)
