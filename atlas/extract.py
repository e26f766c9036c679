"""Completion text -> candidate programs, deduplicated. Pure.

The first fenced block that parses is the program (its last line may lack the closing fence: generation stops there);
an answer without a fence is taken whole where it reads as code. A cut-off answer keeps its code: it is the sandbox's
business to say that it does not parse.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from atlas import syntax
from atlas.types import Candidate, Completion, Program, Task

_OPEN = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n", re.MULTILINE)
_SOURCE_CHARS = 1_000_000
"""Longest program that a sandbox takes; a completion that holds more holds none."""


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
        source = _source(completion.text[span[0] : span[1]], task.language)
        if len(source) > _SOURCE_CHARS:
            continue
        program = Program(source=source, language=task.language)
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
        return next((span for span in blocks if _parses(_source(text[span[0] : span[1]], language))), blocks[0])
    return blocks[0]


def _source(code: str, language: str) -> str:
    """The program in `code`, as a file: line ends as Unix has them, and without the indentation of an indented block.

    Half of a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
    """
    code = code.replace("\r\n", "\n").encode("utf-8", "replace").decode()
    if language == "python" and code.lstrip("\n")[:1] in (" ", "\t") and not _parses(code):
        code = textwrap.dedent(code)
    return code if code.endswith("\n") else code + "\n"


def _blocks(text: str) -> list[tuple[int, int]]:
    """Spans of the insides of fenced blocks; the last may be open."""
    spans, at = [], 0
    while opened := _OPEN.search(text, at):
        # A closing fence may be longer than the opening one, and may stand before a carriage return.
        fence = rf"^[ \t]*{opened[1][0]}{{{len(opened[1])},}}[ \t\r]*$"
        closed = re.compile(fence, re.MULTILINE).search(text, opened.end())
        spans.append((opened.end(), closed.start() if closed else len(text)))
        if not closed:
            break
        at = closed.end()
    return spans


def _parses(source: str) -> bool:
    tree = syntax.tree(source)
    # A sentence of prose may parse as a bare name or a comparison; a program does something more.
    return tree is not None and any(not isinstance(n, ast.Expr) or isinstance(n.value, ast.Call) for n in tree.body)
