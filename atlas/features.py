"""What can be told of a candidate without running it and without a model: named scalar features.

Similarity to siblings is the cheapest strong signal there is (agreement without execution); the log-probability of the
model's own tokens is the strongest. A feature that cannot be had is NaN: missing, not zero.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyflakes import checker, messages

from atlas import syntax
from atlas.types import Candidate, Task

SCALARS = (
    "logprob_mean", "logprob_min", "logprob_tenth", "margin_mean", "logprob_first", "logprob_last", "logprob_sum",
    "agreement", "same_shape", "copies", "parses", "undefined_names", "entry_point", "chars", "lines", "index",
)
"""logprob_*: natural logs, over the tokens of the code: mean, least, mean of the least tenth, first, last, sum.
margin_mean: own log-probability minus the likeliest other token's. agreement: mean Jaccard similarity of token sets to
the siblings (0 to 1; copies count). same_shape: share of siblings with the same syntax tree up to names. copies: share
of the round's completions that are this program. parses, entry_point: 0 or 1. undefined_names: how many. index: the
position in which the model gave it."""

_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+|[^\s\w]")


def scalars(task: Task, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """(k, len(SCALARS)) float32, one row for each of k sibling candidates."""
    bags = [frozenset(_TOKEN.findall(c.program.source)) for c in candidates]
    trees = [syntax.tree(c.program.source) if task.language == "python" else None for c in candidates]
    shapes = [None if tree is None else _shape(tree) for tree in trees]
    weights = np.array([c.copies for c in candidates], dtype=np.float64)
    rows = []
    for i, candidate in enumerate(candidates):
        others = weights.copy()
        others[i] -= 1  # its own copies are siblings too, it itself is not
        total = others.sum()
        alike = np.array([_jaccard(bags[i], bag) for bag in bags])
        same = np.array([shapes[i] is not None and shapes[i] == shape for shape in shapes])
        values = token_statistics(candidate) | {
            "agreement": float(others @ alike / total) if total else 1.0,
            "same_shape": float(others @ same / total) if total else 1.0,
            "copies": candidate.copies / float(weights.sum()),
            "chars": float(len(candidate.program.source)),
            "lines": float(candidate.program.source.count("\n")),
            "index": float(candidate.index),
        }
        values |= _static(task, trees[i])
        rows.append([values[name] for name in SCALARS])
    return np.array(rows, dtype=np.float32).reshape(len(candidates), len(SCALARS))


def code_tokens(candidate: Candidate) -> slice:
    """Which of the completion's tokens lie in the candidate's code, wholly or in part."""
    tokens = candidate.completion.logprobs or ()
    text, (begin, end) = candidate.completion.text, candidate.span
    first, last = len(text[:begin].encode("utf-8", "replace")), len(text[:end].encode("utf-8", "replace"))
    edges = np.cumsum([0, *(len(t.token) for t in tokens)])
    return slice(int(np.searchsorted(edges, first, side="right")) - 1, int(np.searchsorted(edges, last, side="left")))


def token_statistics(candidate: Candidate) -> dict[str, float]:
    """Statistics of the log-probabilities of the code's tokens; NaN where the server gave none."""
    names = [name for name in SCALARS if name.startswith(("logprob", "margin"))]
    tokens = (candidate.completion.logprobs or ())[code_tokens(candidate)] if candidate.completion.logprobs else ()
    if not tokens:
        return dict.fromkeys(names, float("nan"))
    own = np.array([t.logprob for t in tokens])
    margins = np.array([t.logprob - t.second for t in tokens if t.second is not None])
    tenth = np.sort(own)[: max(1, len(own) // 10)]
    return {
        "logprob_mean": float(own.mean()),
        "logprob_min": float(own.min()),
        "logprob_tenth": float(tenth.mean()),
        "margin_mean": float(margins.mean()) if len(margins) else float("nan"),
        "logprob_first": float(own[0]),
        "logprob_last": float(own[-1]),
        "logprob_sum": float(own.sum()),
    }


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def _static(task: Task, tree: ast.Module | None) -> dict[str, float]:
    """Facts that need a syntax tree, which only Python programs have here."""
    if task.language != "python":
        return {"parses": float("nan"), "undefined_names": float("nan"), "entry_point": float("nan")}
    if tree is None:
        return {"parses": 0.0, "undefined_names": float("nan"), "entry_point": 0.0}
    named = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    named |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {
        "parses": 1.0,
        "undefined_names": float(_undefined(tree)),
        "entry_point": float(task.entry_point in named) if task.entry_point else 1.0,
    }


def _undefined(tree: ast.Module) -> int:
    try:
        found = checker.Checker(tree).messages
    except RecursionError:
        return 0  # too deep for pyflakes, and for most else; it parsed, and that is all that is known
    return sum(isinstance(m, messages.UndefinedName | messages.UndefinedLocal) for m in found)


def _shape(tree: ast.Module) -> str | None:
    """The syntax tree with names replaced by the order of their first occurrence, as text; None where too deep."""
    order: Counter[str] = Counter()
    try:
        return ast.dump(_Renamer(order).visit(ast.parse(ast.unparse(tree))))
    except (RecursionError, SyntaxError, ValueError):
        return None


class _Renamer(ast.NodeTransformer):
    """Replaces every name that is not a builtin by its number; drops docstrings and annotations."""

    def __init__(self, order: Counter[str]) -> None:
        self._order = order

    def _number(self, name: str) -> str:
        if hasattr(builtins, name):
            return name
        return f"v{self._order.setdefault(name, len(self._order))}"

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(id=self._number(node.id), ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=self._number(node.arg), annotation=None)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
        node.name, node.returns = self._number(node.name), None
        return self.generic_visit(node)
