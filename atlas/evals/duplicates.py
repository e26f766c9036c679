"""Families of near-duplicate problems, so that a family stays on one side of a split.

Two problems are near-duplicates where their texts or their reference solutions share most of their *shingles* (runs of
consecutive tokens; Broder 1997, "On the resemblance and containment of documents"). At a few thousand problems the
Jaccard similarity is computed exactly, through an index from shingle to problems. Families are the connected parts of
that relation. All data sets that are trained on or measured on must be loaded together, or a family that spans them
goes unseen.
"""

from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from atlas.evals.problems import Problem

TEXT_RUN, TEXT_ALIKE = 3, 0.6
CODE_RUN, CODE_ALIKE = 6, 0.7
FEWEST = 8
"""Fewer shingles than this say too little: two one-line solutions agree by chance."""
COMMON = 0.01
"""A shingle in more than this share of all problems is boilerplate ("write a function to find the", import lines)."""
SKIPPED = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def grouped(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The same problems, each with `near_duplicate_group` set to its family's first id.

    Problems that already name a group are joined with the others of that name.
    """
    parent = list(range(len(problems)))
    by_name: dict[str, int] = {}
    for i, problem in enumerate(problems):
        name = problem.near_duplicate_group or problem.id
        _join(parent, i, by_name.setdefault(name, i))
    texts = [text_shingles(problem.task.prompt) for problem in problems]
    codes = [code_shingles(problem.reference.source) if problem.reference else set() for problem in problems]
    for shingles, alike in ((texts, TEXT_ALIKE), (codes, CODE_ALIKE)):
        for i, j in _pairs(_without_boilerplate(shingles), alike):
            _join(parent, i, j)
    root = [_find(parent, i) for i in range(len(problems))]
    return tuple(replace(p, near_duplicate_group=problems[r].id) for p, r in zip(problems, root, strict=True))


def text_shingles(text: str) -> set[tuple[str, ...]]:
    """Runs of words, lower case, code and digits included, punctuation left out."""
    return _runs(re.findall(r"[a-z]+|\d+", text.lower()), TEXT_RUN)


def code_shingles(source: str) -> set[tuple[str, ...]]:
    """Runs of tokens with every name that is no keyword replaced by one mark, so that renaming changes nothing."""
    words: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in SKIPPED:
                continue
            renamed = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
            words.append("name" if renamed else "text" if token.type == tokenize.STRING else token.string)
    except (tokenize.TokenError, SyntaxError):
        return set()
    return _runs(words, CODE_RUN)


def _runs(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def _without_boilerplate(shingles: Sequence[set[tuple[str, ...]]]) -> list[set[tuple[str, ...]]]:
    seen = Counter(shingle for own in shingles for shingle in own)
    most = max(COMMON * len(shingles), 20)
    return [{shingle for shingle in own if seen[shingle] <= most} for own in shingles]


def _pairs(shingles: Sequence[set[tuple[str, ...]]], alike: float) -> Iterable[tuple[int, int]]:
    """All i < j whose Jaccard similarity |a ∩ b| / |a ∪ b| is at least `alike`. Exact."""
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for j, own in enumerate(shingles):
        if len(own) < FEWEST:
            continue
        shared = Counter(i for shingle in own for i in index[shingle])
        for i, count in shared.items():
            if count >= alike * (len(own) + len(shingles[i]) - count):
                yield i, j
        for shingle in own:
            index[shingle].append(j)


def _find(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _join(parent: list[int], i: int, j: int) -> None:
    first, second = sorted((_find(parent, i), _find(parent, j)))
    parent[second] = first
