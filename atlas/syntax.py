"""Reading a candidate as Python, whatever it is: a syntax tree, or None. Runs nothing."""

from __future__ import annotations

import ast
import warnings

from sandbox.reading import syntax_tree


def tree(source: str) -> ast.Module | None:
    """The syntax tree of `source`; None where it is no Python, or too deep for Python's own parser.

    What the compiler would warn of, such as the escape in `"\\d"`, is the candidate's affair and not shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return syntax_tree(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
