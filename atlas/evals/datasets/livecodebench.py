"""LiveCodeBench's published format (Jain et al. 2024, arXiv 2403.07974): `code_generation_lite`, one file a release.

Fields: `question_id`, `question_title`, `question_content`, `contest_date`, `starter_code`, `metadata`, and two lists
of tests. The public tests are in the problem's text anyway, so they are visible; the private ones are hidden. A problem
either reads standard input or is a method of `class Solution`.

Programs get what LiveCodeBench's own runner gives them: names imported in advance, a high limit of recursion, numbers
compared as decimals, and a tuple where a list is wanted. There are no reference solutions.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import datetime
import json
import pickletools
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atlas.errors import ConfigError
from atlas.evals.datasets.files import Content
from atlas.evals.problems import Excluded, Problem
from atlas.types import CallCheck, Check, Limits, StdioCheck, Task

LIMITS = Limits(cpu_s=6.0, wall_s=6.0, memory_mb=1024)
"""Six seconds a test are LiveCodeBench's own; its memory is not limited."""
NEWLINE = "\n"
MOST_TEXT = 500_000_000
"""Bytes that a problem's private tests may have, once decompressed."""
STARRED = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json "
    "builtins typing"
).split()
IMPORTS = (
    "".join(f"from {name} import *\n" for name in STARRED)
    + "".join(f"import {name}\n" for name in STARRED)
    + "sys.setrecursionlimit(50000)\n"
)
METHOD = """

_theirs = globals().get("Solution")


class Solution:
    def {name}(self, *arguments):
        found = (_theirs().{name} if _theirs else {name})(*arguments)
        return list(found) if type(found) is tuple else found
"""
"""Around the program's own class or function: the runner takes either, and a tuple for a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Days from `first` to `last`, both included."""

    first: datetime.date
    last: datetime.date

    @classmethod
    def parse(cls, text: str) -> Window:
        """`2024-08..2025-01`, with months or days, either side open. Raises ConfigError."""
        found = re.fullmatch(r"(\d{4}-\d\d(?:-\d\d)?)?\.\.(\d{4}-\d\d(?:-\d\d)?)?", text)
        if found is None:
            raise ConfigError(f"a window of dates is written like 2024-08..2025-01, not {text!r}")
        try:
            first = _day(found[1], last=False) if found[1] else datetime.date.min
            last = _day(found[2], last=True) if found[2] else datetime.date.max
        except ValueError as error:
            raise ConfigError(f"{text!r} names a day that does not exist") from error
        if first > last:
            raise ConfigError(f"the window {text!r} ends before it begins")
        return cls(first=first, last=last)


def _day(text: str, *, last: bool) -> datetime.date:
    if len(text) == len("2024-08"):
        year, month = map(int, text.split("-"))
        return datetime.date(year, month, calendar.monthrange(year, month)[1] if last else 1)
    return datetime.date.fromisoformat(text)


def parse(content: Content, window: Window | None = None) -> tuple[list[Problem], list[Excluded]]:
    """The problems of contests within the window; all of them where there is none."""
    made: list[Problem | Excluded] = []
    for number, row in content.rows():
        try:
            date = datetime.datetime.fromisoformat(content.field(number, row, "contest_date", str)).date()
        except ValueError as error:
            raise ConfigError(f"{content.origin}, line {number}: contest_date is no date ({error})") from error
        if window is None or window.first <= date <= window.last:
            made.append(_problem(content, number, row))
    return [one for one in made if isinstance(one, Problem)], [one for one in made if isinstance(one, Excluded)]


def _problem(content: Content, number: int, row: dict[str, Any]) -> Problem | Excluded:
    fields = ("question_id", "question_content", "starter_code", "public_test_cases", "private_test_cases", "metadata")
    text = {name: content.field(number, row, name, str) for name in fields}
    name = f"livecodebench/{text['question_id']}"
    try:
        method = json.loads(text["metadata"]).get("func_name")
        public = _checks(json.loads(text["public_test_cases"]), method)
        private = _checks(json.loads(_private(text["private_test_cases"])), method)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return Excluded(id=name, reason=f"its tests cannot be read: {str(error).splitlines()[0]}")
    seen = {check.model_dump_json() for check in public}
    hidden = tuple(check for check in private if check.model_dump_json() not in seen)
    if not public + hidden:
        return Excluded(id=name, reason="it has no tests")
    return Problem(
        task=Task(
            id=name, prompt=_prompt(text["question_content"], text["starter_code"], method), checks=public,
            entry_point="Solution" if method else None, limits=LIMITS,
        ),
        hidden=hidden,
        dataset="livecodebench",
        harness=(IMPORTS, METHOD.format(name=method) if method else ""),
    )


def _prompt(content: str, starter: str, method: str | None) -> str:
    if method:
        return f"{content.strip()}\n\nComplete this Python class.\n\n```python\n{starter.strip()}\n```"
    return f"{content.strip()}\n\nRead from standard input and write to standard output."


def _checks(tests: Iterable[dict[str, str]], method: str | None) -> tuple[Check, ...]:
    """Raises ValueError, TypeError or KeyError where a test is not what it should be."""
    if method is None:
        return tuple(StdioCheck(stdin=t["input"], stdout=t["output"], compare="decimals") for t in tests)
    if not method.isidentifier():
        raise ValueError(f"{method!r} is no name of a method")
    return tuple(
        CallCheck(
            call=f"Solution().{method}({', '.join(map(_literal, test['input'].strip().split(NEWLINE)))})",
            expected=_literal(test["output"]),
        )
        for test in tests
    )


def _literal(text: str) -> str:
    return repr(json.loads(text, parse_constant=_refuse))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no plain value")


def _private(text: str) -> str:
    """The JSON of the private tests: as it is, or as the published files pack it, text in pickle in zlib in base64.

    Nothing is unpickled: the opcodes are read, and anything but one text is refused.
    """
    if text.lstrip().startswith("["):
        return text
    try:
        unpack = zlib.decompressobj()
        packed = unpack.decompress(base64.b64decode(text, validate=True), MOST_TEXT)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"private tests are packed otherwise ({error})") from error
    if unpack.unconsumed_tail:
        raise ValueError("private tests are too large")
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(packed):
        if opcode.name in TEXTS and isinstance(argument, str):
            texts.append(argument)
        elif opcode.name not in AROUND:
            raise ValueError(f"private tests hold {opcode.name}, which is no text")
    if len(texts) != 1:
        raise ValueError(f"private tests hold {len(texts)} texts instead of one")
    return texts[0]


TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
AROUND = frozenset({"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"})
