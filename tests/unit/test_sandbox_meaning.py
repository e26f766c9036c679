"""A script that is taken apart means what it means as a whole: each is followed both ways, in this process."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.checks import judge, plan
from sandbox.guest.child import Scope, _full_name, _operate
from sandbox.guest.encode import encode, sequence
from sandbox.guest.judge import renewed
from sandbox.identity import asks_for_identity
from sandbox.names import NotPure
from sandbox.raw import Exit, Raw
from sandbox.rewrite import rewrite
from sandbox.script import outline
from sandbox.types import AssertCheck, Outcome, Program


def apart(source: str, code: str) -> Outcome:
    """What becomes of a script that is taken apart: its operations run here, its values are judged."""
    program: dict[str, Any] = {}
    exec(source, program)
    step = plan(Program(source=source), [AssertCheck(code=code)])[0]
    scope = Scope(__name__="__main__")
    scope.program = program
    values: list[bytes] = []
    for op, text in step.payload["ops"]:
        _operate(op, text, scope, values)
    body = sequence(b"t", [encode("end"), sequence(b"l", values)])
    return judge(step, Raw(exit=Exit.EXITED, exit_code=0, result=len(body).to_bytes(4, "little") + body)).outcome


FACTORIAL = "import math\nf = math.factorial"
SAME = "def f(x):\n    return x"
DOUBLE = "def f(x):\n    return 2 * x"
SORTS = "def f(x):\n    x.sort()\n    return x"
COUNTS = "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1"
REFUSES = "def f(x):\n    if x < 0:\n        raise ValueError\n    return x"

# what it is about: (program, script); the script holds as a whole
HOLD = {
    "a name that is given back its value": (
        FACTORIAL,
        "n = 5\nassert f(n) == 120\nn = f(3)\nassert n == 6\nn = 5\nassert f(n) == 120",
    ),
    "a name of the lambda's own": (SORTS, "x = [3, 1, 2]\nassert f([2, 1, 3]) == sorted(x, key=lambda x: x)"),
    "a name of the lambda's own in an argument": (
        SAME,
        "x = [3, 1, 2]\nassert f(sorted(x, key=lambda x: -x)) == [3, 2, 1]",
    ),
    "a name of the loop's own": (SAME, "x = [1, 2]\nassert f([x for x in x]) == [x for x in x]"),
    "loops in a loop": (
        SORTS,
        "assert [f([x, 1]) == sorted([1, x], key=lambda x: x) for x in [2, 3]] == [True, True]",
    ),
    "items one by one": (COUNTS, "g = f()\nassert next(g) == 0\nassert next(g) == 1"),
    "the first few items": (COUNTS, "from itertools import islice\nassert list(islice(f(), 3)) == [0, 1, 2]"),
    "items in a loop": (COUNTS, "g = f()\nassert [next(g) for _ in range(3)] == [0, 1, 2]"),
    "all items": ("def f(n):\n    yield from range(n)", "assert list(f(3)) == [0, 1, 2]"),
    "items of itertools": ("import itertools\nf = itertools.permutations", "assert len(list(f([1, 2, 3]))) == 6"),
    "what is not looked at": (REFUSES, "assert f(1) == 1 or f(-1) == 1\nassert (f(1) if True else f(-1)) == 1"),
    "a copy made before": (
        "def f(x):\n    return sorted(x)",
        "import copy\nx = [3, 1]\nb = copy.deepcopy(x)\ny = f(x)\nassert x == b\nassert y == [1, 3]",
    ),
}


@pytest.mark.parametrize("name", HOLD)
def test_what_holds_as_a_whole_holds_apart(name: str) -> None:
    source, code = HOLD[name]
    exec(f"{source}\n{code}", {})
    assert apart(source, code) is Outcome.PASS


FAIL = {
    "a copy made before a call that changes": (
        SORTS,
        "import copy\nx = [3, 1]\nb = copy.deepcopy(x)\ny = f(x)\nassert x == b",
    ),
    "a name of the program's in the place of the script's": (
        "x = [9]\ndef f(y):\n    return [3, 2, 1] if y == [9] else y[::-1]",
        "x = [3, 1, 2]\nassert f(sorted(x, key=lambda x: -x)) == [3, 2, 1]",
    ),
    "the second half of a choice": (REFUSES, "assert f(1) == 2 or f(3) == 4"),
}


@pytest.mark.parametrize("name", FAIL)
def test_what_fails_as_a_whole_fails_apart(name: str) -> None:
    source, code = FAIL[name]
    with pytest.raises(AssertionError):
        exec(f"{source}\n{code}", {})
    assert apart(source, code) is Outcome.FAIL


def test_an_exception_that_is_looked_at_fails() -> None:
    assert apart(REFUSES, "assert f(1) == 2 or f(-1) == 1") is Outcome.FAIL


TWO_MEANINGS = {
    "an argument as the result": "x = [1]\nassert f(x) is not x",
    "one result twice": "assert f(1) is f(1)",
    "a loop hides a result": "x = f(0)\nassert [f(x) for x in [1, 2]] == [1, 2]\nassert x == 0",
    "a parameter hides a result": "x = f(1)\ndef t(x):\n    assert x == 4\nt(f(2))\nassert x == 2",
    "a variable hides the program": "def check(c):\n    f = 5\n    assert c(f) == 10\ncheck(f)",
    "a variable hides an object": "def check(c):\n    s = 5\n    assert c.f(s) == 10\ns = S()\ncheck(s)",
    "another name of an argument": "x = [3, 1]\ny = x\nassert f(x) is None\nassert y == [1, 3]",
    "the whole that an argument is of": "xs = [[3, 1]]\nfor x in xs:\n    assert f(x)\nassert xs == [[3, 1]]",
    "two calls that may raise": "with pytest.raises(ValueError):\n    s = S(-1)\n    s.push(1)",
    "objects beside each other": "assert P(1) + P(2) == P(3)",
    "the text of an object": "assert str(P(1)) == 'P1'",
    "a class of tests": "class TestF:\n    def test_f(self):\n        assert f(1) == 1",
}


@pytest.mark.parametrize("name", TWO_MEANINGS)
def test_what_would_mean_something_else_apart_is_not_taken_apart(name: str) -> None:
    with pytest.raises(NotPure):
        rewrite(TWO_MEANINGS[name])


def test_a_function_sees_the_names_of_where_it_is_defined() -> None:
    code = "x = 1\ndef inner():\n    assert f(x) == 1\ndef outer():\n    x = 2\n    inner()\nouter()"
    assert rewrite(code).ops[0] == (0, "x = 1")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("y = f(x)\nassert y is not x", 2), ("assert id(f(x)) != id(x)", 1), ("self.assertIs(f(x), x)", 1),
        ("assert f(x) is None", 0), ("y = f(x)\nassert y is not True", 0), ("assert type(f(x)) is int", 0),
        ("a = []\nb = a\nassert a is b and f(a)", 0), ("assert f(1) is 1.0", 1),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_identity_across_processes_is_found(code: str, line: int) -> None:
    assert asks_for_identity(outline(f"x = [1]\n{code}")) == (line and line + 1)


def test_arguments_take_on_what_a_call_has_made_of_them() -> None:
    inner, whole, keys = [1], {"a": 1}, {1}
    given = ([inner, 2], whole, keys, bytearray(b"x"))
    first, last = given[0], given[3]
    renewed(given, ([[1, 5], 3, 4], {"b": 2}, {2}, bytearray(b"yz")))
    assert (first, whole, keys, last) == ([[1, 5], 3, 4], {"b": 2}, {2}, bytearray(b"yz"))
    assert first[0] is inner and inner == [1, 5]


def test_an_exception_with_a_builtin_name_is_not_the_builtin_one() -> None:
    assert _full_name(ValueError) == "ValueError"
    assert _full_name(type("ValueError", (Exception,), {})) == "program.ValueError"
    assert _full_name(type("Mine", (Exception,), {})) == "Mine"
