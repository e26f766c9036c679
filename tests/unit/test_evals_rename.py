"""Renaming variables: another text, the same program, and nothing renamed that somebody else could know."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy
import pytest

from atlas.evals.rename import renamed
from tests.support.evals import HUMANEVAL_ROWS

COUNT = '''def count(words, least=2):
    """Counts."""
    seen = {}
    for word in words:  # a word
        seen[word] = seen.get(word, 0) + 1
    return {key: n for key, n in seen.items() if n >= least}
'''


def run(source: str, call: str) -> object:
    scope: dict[str, object] = {}
    exec(source, scope)
    return eval(call, scope)


def test_variables_get_other_names_and_the_program_stays_what_it_is() -> None:
    text = renamed(COUNT)
    assert text is not None and text != COUNT
    assert "words, least=2" in text and "# a word" in text and ".items()" in text and "word in words" not in text
    tree = ast.parse(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"seen", "word", "key", "n"}
    assert run(text, "count(['a', 'b', 'a'])") == run(COUNT, "count(['a', 'b', 'a'])") == {"a": 2}
    assert renamed(COUNT) == text


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("def f(a):\n    total = 0\n    print(f'{total}')\n    extra = a\n    return extra\n", "total"),
        ("import math\ndef f(a):\n    math2 = math.sqrt(a)\n    return math2\n", "math"),
        ("limit = 3\ndef f(a):\n    b = limit\n    return b\n", "limit"),
        ("def f(a):\n    def g(key):\n        return key\n    inner = g(key=a)\n    return inner\n", "key"),
        ("def f(a):\n    sum = a\n    more = sum\n    return more\n", "sum"),
        ("n = 0\ndef f(a):\n    global n\n    n = a\n    b = n\n    return b\n", "n"),
        ("class A:\n    def f(self, x):\n        self.total = x\n        total2 = x\n        return total2\n", "total"),
        ("def f(a):\n    b = c = a\n    match c:\n        case [last]:\n            c = last\n    return b\n", "last"),
    ],
)
def test_what_somebody_else_may_know_keeps_its_name(source: str, kept: str) -> None:
    text = renamed(source)
    assert text is not None and text != source
    assert kept in text


def test_inner_functions_closures_and_exceptions_stay_right() -> None:
    source = (
        "def outer(items):\n    count = 0\n    def bump(step):\n        nonlocal count\n        count += step\n"
        "    for item in items:\n        try:\n            bump(int(item))\n        except ValueError as error:\n"
        "            last = error\n    return count, sorted(items, key=lambda one: -len(one))\n"
    )
    text = renamed(source)
    assert text is not None and "nonlocal count" not in text and "lambda one" not in text
    assert run(text, "outer(['1', 'xx', '3'])") == run(source, "outer(['1', 'xx', '3'])")


@pytest.mark.parametrize(
    "source",
    ["def f(a):\n    return a\n", "def f(:\n", "def f(a):\n    b = a\n    return locals()\n", "", "x = 1\n"],
)
def test_where_nothing_can_be_renamed_for_certain_nothing_is(source: str) -> None:
    assert renamed(source) is None


def test_real_programs_are_renamed_to_the_same_program() -> None:
    sources = [row["prompt"] + row["canonical_solution"] for row in HUMANEVAL_ROWS]
    sources += [path.read_text(encoding="utf-8") for path in sorted(Path(numpy.__file__).parent.glob("lib/*.py"))[:20]]
    changed = [text for source in sources if (text := renamed(source)) is not None]
    assert changed
    for text in changed:
        compile(text, "renamed", "exec")
