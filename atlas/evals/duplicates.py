"""Families of near-duplicate problems, so that a family stays on one side of a split.

Two problems are near-duplicates where their texts share most of what is rare in their words, or where their reference
solutions share most of their *shingles* (runs of consecutive tokens; Broder 1997, "On the resemblance and containment
of documents"). At a few thousand problems the weighted Jaccard similarity is computed exactly, through an index from
feature to problems. Families are the connected parts of that relation. All data sets that are trained on or measured on
must be grouped together, or a family that spans them goes unseen.
"""

from __future__ import annotations

import io
import keyword
import math
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from atlas.evals.problems import Problem

F = TypeVar("F", bound=Hashable)

TEXT_ALIKE = 0.7
CODE_ALIKE = 0.7
CODE_RUN = 6
FEWEST_RUNS = 8
"""Code with fewer runs than this says too little: two one-line solutions agree by chance."""
COMMON = 0.01
"""A run in more than this share of all problems is boilerplate, such as a block of imports."""
SKIPPED = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def grouped(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The same problems, each with `near_duplicate_group` set to its family's first id.

    Problems that already name a group are joined with the others of that name.
    """
    parent = list(range(len(problems)))
    by_name: dict[str, int] = {}
    for i, problem in enumerate(problems):
        _join(parent, i, by_name.setdefault(problem.group, i))
    for i, j in similar(problems):
        _join(parent, i, j)
    root = [_find(parent, i) for i in range(len(problems))]
    return tuple(replace(p, near_duplicate_group=problems[r].id) for p, r in zip(problems, root, strict=True))


def similar(problems: Sequence[Problem]) -> Iterable[tuple[int, int]]:
    """Positions of all pairs of problems whose texts or whose reference solutions are alike."""
    texts = [words(problem.task.prompt) for problem in problems]
    seen = Counter(word for own in texts for word in own)
    yield from _pairs(texts, {word: math.log((1 + len(texts)) / n) for word, n in seen.items()}, TEXT_ALIKE)

    codes = [runs(problem.reference.source) if problem.reference else set() for problem in problems]
    seen_runs = Counter(run for own in codes for run in own)
    most = max(COMMON * len(codes), 20)
    rare = [{run for run in own if seen_runs[run] <= most} for own in codes]
    enough = [own if len(own) >= FEWEST_RUNS else set() for own in rare]
    yield from _pairs(enough, dict.fromkeys(seen_runs, 1.0), CODE_ALIKE)


def words(text: str) -> set[str]:
    """Words and numbers, lower case."""
    return set(re.findall(r"[a-z]+|\d+", text.lower()))


def runs(source: str) -> set[tuple[str, ...]]:
    """Runs of tokens with every name that is no keyword replaced by one mark, so that renaming changes nothing."""
    tokens: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in SKIPPED:
                continue
            renamed = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
            tokens.append("name" if renamed else "text" if token.type == tokenize.STRING else token.string)
    except (tokenize.TokenError, SyntaxError):
        return set()
    return {tuple(tokens[i : i + CODE_RUN]) for i in range(len(tokens) - CODE_RUN + 1)}


def _pairs(features: Sequence[set[F]], weight: dict[F, float], alike: float) -> Iterable[tuple[int, int]]:
    """All i < j with Σ weight(a ∩ b) >= alike · Σ weight(a ∪ b)."""
    index: dict[F, list[int]] = defaultdict(list)
    total = [sum(weight[f] for f in own) for own in features]
    for j, own in enumerate(features):
        shared: dict[int, float] = defaultdict(float)
        for feature in own:
            for i in index[feature]:
                shared[i] += weight[feature]
            index[feature].append(j)
        yield from ((i, j) for i, both in shared.items() if both >= alike * (total[i] + total[j] - both))


def _find(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _join(parent: list[int], i: int, j: int) -> None:
    first, second = sorted((_find(parent, i), _find(parent, j)))
    parent[second] = first
