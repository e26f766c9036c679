"""What can be told of a candidate without running it and without a model: named scalar features.

Similarity to siblings is the cheapest strong signal there is (agreement without execution); the log-probability of the
model's own tokens is the strongest. A feature that cannot be had is NaN: missing, not zero.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyflakes import checker, messages

from atlas import syntax
from atlas.shape import expressions, shape, trigrams
from atlas.types import Candidate, Task

OF_TOKENS = (
    "logprob_mean", "logprob_min", "logprob_tenth", "margin_mean", "logprob_first", "logprob_last", "logprob_end",
    "logprob_sum", "logprob_sure", "prob_mean",
)
"""The scalars that a server must give log-probabilities for."""
SCALARS = (
    *OF_TOKENS, "agreement", "shape_agreement", "same_shape", "copies", "parses", "undefined_names", "entry_point",
    "chars", "lines", "index",
)
"""logprob_*: natural logs, over the tokens of the code: mean, least, mean of the least tenth, first, last, mean of
the last three (is this really the end?), sum; logprob_sure is the share of tokens that had a probability above 0.9,
prob_mean the mean of their probabilities, which one odd token moves less than that of the logs. margin_mean: own
log-probability minus the likeliest other token's. agreement: mean Jaccard similarity of token sets to the siblings (0
to 1; copies count). shape_agreement: the same of expressions, once names no longer matter (of token trigrams, where
there is no syntax tree). same_shape: share of siblings that then are equal. copies: share of siblings that are this
very program. These four are missing where there is no sibling, and mean the same for any number of them. parses,
entry_point: 0 or 1. undefined_names: how many. index: the position in which the model gave it."""

SURE = math.log(0.9)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+|[^\s\w]")


def scalars(task: Task, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """(k, len(SCALARS)) float32, one row for each of k sibling candidates."""
    bags = [frozenset(_TOKEN.findall(c.program.source)) for c in candidates]
    trees = [syntax.tree(c.program.source) if task.language == "python" else None for c in candidates]
    shapes = [None if tree is None else shape(tree) for tree in trees]
    parts: list[frozenset[object]] = [
        trigrams(c.program.source) if form is None else expressions(form)
        for form, c in zip(shapes, candidates, strict=True)
    ]
    weights = np.array([c.copies for c in candidates], dtype=np.float64)
    rows = []
    for i, candidate in enumerate(candidates):
        others = weights.copy()
        others[i] -= 1  # its own copies are siblings too, it itself is not
        total = others.sum()
        alike = np.array([_jaccard(bags[i], bag) for bag in bags])
        akin = np.array([_jaccard(parts[i], part) for part in parts])
        same = np.array([shapes[i] is not None and shapes[i] == form for form in shapes])
        values = token_statistics(candidate) | {
            "agreement": float(others @ alike / total) if total else math.nan,
            "shape_agreement": float(others @ akin / total) if total else math.nan,
            "same_shape": float(others @ same / total) if total else math.nan,
            "copies": float(others[i] / total) if total else math.nan,
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
    tokens = (candidate.completion.logprobs or ())[code_tokens(candidate)] if candidate.completion.logprobs else ()
    if not tokens:
        return dict.fromkeys(OF_TOKENS, float("nan"))
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
        "logprob_end": float(own[-3:].mean()),
        "logprob_sum": float(own.sum()),
        "logprob_sure": float((own > SURE).mean()),
        "prob_mean": float(np.exp(own).mean()),
    }


def _jaccard(a: frozenset[object], b: frozenset[object]) -> float:
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
