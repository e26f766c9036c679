"""Comparing on the host: expected values, modes, and how values are shown."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from sandbox.codec import Opaque, Raised
from sandbox.compare import exception_names, holds, literal, show, source, validate_expected
from sandbox.errors import InvalidCheck
from sandbox.types import CallCheck


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4), (" -4\n", -4), ("'a' 'b'", "ab"), ("[1, (2,), {3}, {4: 5}]", [1, (2,), {3}, {4: 5}]),
        ("set()", set()),
        ("frozenset({1})", frozenset({1})), ("float('inf')", math.inf), ("-inf", -math.inf), ("1 + 2j", 1 + 2j),
        ("2 ** 64 - 1", 2**64 - 1), ("[0] * 3", [0, 0, 0]), ("list(range(3))", [0, 1, 2]), ("'ab' * 2", "abab"),
        ("Counter('aab')", Counter("aab")), ("collections.Counter({'a': 1})", Counter("a")), ("Decimal('1.5')", 1.5),
        ("Fraction(1, 3)", Fraction(1, 3)), ("math.pi", math.pi), ("sqrt(4)", 2.0), ("(int, str)", (int, str)),
        ("[x * x for x in range(4) if x % 2]", [1, 9]), ("{k: v for k, v in [(1, 2)]}", {1: 2}), ("...", ...),
        ("sorted([3, 1], key=lambda x: -x)", [3, 1]), ("'a,b'.split(',')", ["a", "b"]), ("(1, 2)[1:]", (2,)),
        ("1 if 2 > 1 else 3", 1), ("0x10", 16), ("b'a'", b"a"), ("not 1", False), ("[*range(2), 5]", [0, 1, 5]),
    ],
)  # fmt: skip
def test_expected_values(text: str, value: Any) -> None:
    assert literal(text) == value
    assert type(literal(text)) is type(value) or isinstance(literal(text), Decimal)


@pytest.mark.parametrize(
    "text",
    [
        "", "4 +", "f(2)", "x", "__import__('os')", "().__class__", "[].append(1)", "open('x')", "eval('1')",
        "''.format()",
        "(lambda: 1)()()", "exec", "print(1)", "f'{1}'", "(y := 3)", "'%d' % 3", "4; 5", "x = 4", "yield",
        "getattr(1, 'real')",
        "int.from_bytes(b'')", "math.nothing", "os.environ", "(1).real", "type('A', (), {})", "\0", "(" * 5_000,
        "1" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_plain_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidCheck):
        literal(text)


@pytest.mark.parametrize(
    "text",
    [
        "10 ** 10 ** 9", "2 ** (2 ** 40)", "[0] * 10 ** 9", "'x' * 10 ** 10", "1 << 10 ** 10", "list(range(10 ** 9))",
        "[0 for _ in range(10 ** 8)]", "[[[[0] * 1000] * 1000] * 1000]", "sum(range(10 ** 9))", "round(5, -10 ** 9)",
        "math.factorial(10 ** 6)", "Fraction('1e999999999')", "'a' * 999999 * 999999", "max(range(10 ** 9))",
        "bytes(10 ** 10)", "(lambda f: f(f))(lambda f: f(f))", "'a'.zfill(10 ** 9)",
        "('a' * 999).replace('a', 'a' * 10 ** 6)",
        "pow(3, 10 ** 9, 10 ** 9999)", "[x for x in [0] * 1000 for y in [0] * 1000 for z in [0] * 1000]",
        "set([i * (2 ** 61 - 1) for i in range(50000)])", "zip(range(10 ** 10), range(10 ** 10))", "-" * 3_000 + "1",
    ],
)  # fmt: skip
def test_values_that_cost_too_much_are_refused(text: str) -> None:
    with pytest.raises(InvalidCheck):
        literal(text)


def test_the_place_of_a_mistake_is_named() -> None:
    with pytest.raises(InvalidCheck, match="line 1, column 6"):
        literal("[1, ]]")


def test_a_backslash_too_many_is_no_mistake() -> None:
    assert literal(r"'\d'") == r"\d"


def check(compare: Any, expected: str = "None", **more: Any) -> CallCheck:
    return CallCheck(call="f()", compare=compare, expected=expected, **more)


HOLDS = [
    ("equal", "1", True), ("equal", "1.0", 1), ("equal", "[1, 2]", [1.0, True + 1]), ("equal", "{1: {2}}", {1: {2.0}}),
    ("not_equal", "4", 5), ("not_equal", "float('nan')", math.nan), ("is", "None", None), ("is", "True", True),
    ("is", "int", int), ("is_not", "None", 0), ("in", "[1, 2]", 2), ("in", "'abc'", "b"), ("not_in", "(1, 2)", 3),
    ("any_of", "([1], [2])", [2]), ("close", "0.3", 0.1 + 0.2), ("close", "[1, (2.0,)]", [1.0, (2,)]),
    ("close", "{'a': 0.3}", {"a": 0.1 + 0.2}), ("close", "inf", math.inf), ("close", "'a'", "a"), ("close", "1j", 1j),
    ("unordered", "[1, 2, 1]", [1, 1, 2]), ("unordered", "[[1], {2: 3}]", [{2: 3}, [1]]),
    ("close", "1 + 2j", 1 + (2 + 1e-12) * 1j), ("close", "2j", complex(0, 2)),
    ("unordered", "{1, 2}", (2, 1)), ("unordered", "{1: 2, 3: 4}", {3: 4, 1: 2}), ("in", "range(10 ** 12)", 5),
    ("truthy", "None", [0]), ("falsy", "None", ""), ("less", "5", 4), ("less_equal", "4", 4), ("greater", "3", 4),
    ("greater_equal", "[1]", [1, 0]), ("isinstance", "(str, int)", True), ("equal", "Counter('a')", {"a": 1}),
]  # fmt: skip
FAILS = [
    ("equal", "[1]", (1,)), ("equal", "'1'", 1), ("equal", "float('nan')", math.nan), ("equal", "b'a'", "a"),
    ("equal", "{1: 2}", {1: 3}), ("equal", "{'1': 2}", {1: 2}), ("not_equal", "4", 4.0), ("is", "False", 0),
    ("is", "None", False),
    ("in", "[]", 1), ("any_of", "(1, 2)", (1, 2)), ("close", "0.3", 0.31), ("close", "nan", math.nan),
    ("close", "[1]", (1,)),
    ("close", "[1, 2]", [1]), ("close", "{1: 2}", {2: 2}), ("close", "True", 1.5), ("close", "0.0", 1e-12),
    ("close", "4.0", complex("inf")), ("close", "1j", complex("inf")), ("close", "1j", complex("nan")),
    ("unordered", "{1: 2}", {1: 3}), ("unordered", "{1: 2}", [1]), ("unordered", "[1]", {1: 2}),
    ("unordered", "[1, 2]", range(10**9)),
    ("unordered", "[1, 2, 2]", [1, 1, 2]), ("unordered", "[[1]]", [(1,)]), ("truthy", "None", 0),
    ("falsy", "None", [0]),
    ("less", "4", 4), ("isinstance", "str", 4), ("isinstance", "int", 4.0),
]  # fmt: skip


@pytest.mark.parametrize(("compare", "expected", "actual"), HOLDS)
def test_holds(compare: str, expected: str, actual: Any) -> None:
    validate_expected(check(compare, expected))
    assert holds(check(compare, expected), actual)


@pytest.mark.parametrize(("compare", "expected", "actual"), FAILS)
def test_does_not_hold(compare: str, expected: str, actual: Any) -> None:
    assert not holds(check(compare, expected), actual)


@pytest.mark.parametrize("compare", ["equal", "not_equal", "in", "any_of", "close", "unordered", "truthy", "falsy",
"less",
                                     "isinstance"])  # fmt: skip
def test_opaque_values_hold_nowhere(compare: str) -> None:
    expected = "int" if compare == "isinstance" else "[4]"
    for actual in (Opaque("an object of type A"), [Opaque("an object of type A")]):
        try:
            assert not holds(check(compare, expected), actual) or (compare in ("truthy", "not_equal") and actual != [4])
        except TypeError:
            pass
    with pytest.raises(TypeError):
        holds(check("equal", "[4]"), [Opaque("an object of type A")])


def test_close_takes_its_tolerances() -> None:
    assert holds(check("close", "100", rel_tol=0.02), 101)
    assert holds(check("close", "0", abs_tol=0.1), 0.05)
    assert not holds(check("close", "100", rel_tol=0.001), 101)


def test_raises() -> None:
    raised = Raised(names=("MyError", "ValueError", "Exception"), text="t", place="")
    for expected in ("ValueError", "MyError", "(KeyError, ValueError)", "program.MyError", "Exception"):
        assert holds(check("raises", expected), raised)
    assert not holds(check("raises", "KeyError"), raised)
    assert not holds(check("raises", "ValueError"), None)
    assert exception_names("IOError") == {"OSError"}
    with pytest.raises(InvalidCheck):
        exception_names("3")


@pytest.mark.parametrize(
    ("compare", "expected"),
    [("is", "4"), ("is", "[]"), ("in", "4"), ("unordered", "4"), ("isinstance", "4"), ("raises", "f()")],
)
def test_expectations_that_make_no_sense_are_refused(compare: str, expected: str) -> None:
    with pytest.raises(InvalidCheck):
        validate_expected(check(compare, expected))


@pytest.mark.parametrize(
    "value",
    [
        None, -1, 1 << 20_000, 1.5, math.inf, "ä\ud800\0'", b"\xff", [1, [2]], (), (1,), {1: {2}}, set(), frozenset(),
        frozenset({1}), Counter("aab"), OrderedDict(a=1), deque([1]), Decimal("1.5"), Fraction(1, 3), 2 - 3j, ...,
        range(3), range(5, -5, -2), range(10**5_000), Fraction(10**5_000, 3),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_source_evaluates_to_the_value(value: Any) -> None:
    again = eval(source(value))
    assert again == value
    assert type(again) is type(value)


def test_source_of_what_has_none() -> None:
    assert eval(source(defaultdict(list, {1: 2}))) == {1: 2}
    assert math.isnan(eval(source(math.nan)))
    values = iter([1, 2])
    assert source(values) == "[1, 2]"
    assert list(values) == [1, 2]
    assert show(Opaque("an object of type A")) == "<an object of type A>"
    assert show(Raised(names=("KeyError",), text="'k'", place="")) == "raised KeyError: 'k'"


def test_shown_values_are_short() -> None:
    for value in ("x" * 10**6, list(range(10**6)), 1 << 10**7, [[0] * 1000] * 1000, {"a" * 10**5: "b" * 10**5}):
        assert 10 < len(show(value)) < 2_100


@pytest.mark.parametrize("size", [10**9, 10**30])
def test_a_range_that_is_longer_than_it_looks_is_not_gone_through(size: int) -> None:
    every = ("unordered", f"range({size})", range(size)), ("any_of", f"range({size})", 1), ("in", f"range({size})", 0.5)
    for compare, expected, actual in every:
        with pytest.raises((TypeError, OverflowError)):
            holds(CallCheck(call="f()", expected=expected, compare=compare), actual)  # type: ignore[arg-type]
