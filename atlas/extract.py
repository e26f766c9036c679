"""Completion text -> candidate programs, deduplicated. Pure.

The first fenced block that parses is the program (its last line may lack the closing fence: generation stops there);
an answer without a fence is taken whole where it reads as code. A cut-off answer keeps its code: it is the sandbox's
business to say that it does not parse.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from atlas.types import Candidate, Completion, Program, Task

_OPEN = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n", re.MULTILINE)


def candidates(task: Task, completions: Sequence[Completion], round_: int = 0) -> list[Candidate]:
    """One candidate for each completion that holds a program; of equal programs, the first.

    `Candidate.index` is the completion's position, so that a candidate can be traced to what the model said.
    """
    found: dict[str, Candidate] = {}
    copies: Counter[str] = Counter()
    for index, completion in enumerate(completions):
        span = code_span(completion.text, task.language)
        if span is None:
            continue
        source = completion.text[span[0] : span[1]]
        program = Program(source=source + "\n" * (not source.endswith("\n")), language=task.language)
        candidate = Candidate(index=index, round=round_, program=program, completion=completion, span=span)
        found.setdefault(candidate.digest, candidate)
        copies[candidate.digest] += 1
    return [replace(candidate, copies=copies[digest]) for digest, candidate in found.items()]


def code_span(text: str, language: str) -> tuple[int, int] | None:
    """Where in `text` the program lies, as (begin, end) in characters; None where there is none."""
    blocks = [span for span in _blocks(text) if text[span[0] : span[1]].strip()]
    if not blocks:
        bare = text.strip()
        begin = text.find(bare)
        return (begin, begin + len(bare)) if bare and language == "python" and _parses(bare) else None
    if language == "python":
        return next((span for span in blocks if _parses(text[span[0] : span[1]])), blocks[0])
    return blocks[0]


def _blocks(text: str) -> list[tuple[int, int]]:
    """Spans of the insides of fenced blocks; the last may be open."""
    spans, at = [], 0
    while opened := _OPEN.search(text, at):
        closed = re.compile(rf"^[ \t]*{re.escape(opened[1])}[ \t]*$", re.MULTILINE).search(text, opened.end())
        spans.append((opened.end(), closed.start() if closed else len(text)))
        if not closed:
            break
        at = closed.end()
    return spans


def _parses(source: str) -> bool:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    # A sentence of prose may parse as a bare name or a comparison; a program does something more.
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body)
