"""Compares what a program returned with what a check expects. Runs on the host; both sides are plain values.

Equality is Python's own: ``1 == 1.0 == True``, a list never equals a tuple, NaN equals nothing. What is not plain data
(`codec.Opaque`) refuses every comparison, so a check on it fails.
"""

from __future__ import annotations

import ast
import builtins
import cmath
import collections
import copy
import fractions
import math
import operator
import threading
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from sandbox.codec import Opaque, Path, Raised, hashable
from sandbox.errors import InvalidCheck
from sandbox.expressions import CannotEvaluate, Failed, Prepared, prepare
from sandbox.functions import BUILTINS, MODULES
from sandbox.reading import syntax_tree
from sandbox.types import CallCheck

SHOWN = 2_000
MAX_COUNTED = 10_000_000
_WARNINGS = threading.Lock()
_SINGLETONS = (None, True, False, ..., NotImplemented)
_MODULES = {path.split(".")[0]: path.split(".")[0] for path in MODULES} | {
    path.split(".")[1]: path for path in MODULES if path.split(".")[1] not in BUILTINS
}


def parse(text: str, what: str, mode: str = "eval") -> Any:
    """The syntax tree of `text`. Raises InvalidCheck naming `what` and the place."""
    text = text.strip() if mode == "eval" else text
    try:
        if "\\" not in text:
            return syntax_tree(text, mode=mode)
        with _WARNINGS, warnings.catch_warnings():  # a backslash too many is the author's business
            warnings.simplefilter("ignore")
            return syntax_tree(text, mode=mode)
    except SyntaxError as error:
        place = f"line {error.lineno}, column {error.offset}"
        raise InvalidCheck(f"{what} does not parse at {place}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidCheck(f"{what} does not parse: {error or type(error).__name__}") from None


@lru_cache(maxsize=1024)
def _prepared(text: str, what: str) -> Prepared:
    tree = parse(text, what)
    try:
        return prepare(tree.body, (), _MODULES)
    except CannotEvaluate as error:
        raise InvalidCheck(f"{what} is no plain value: {error} is not allowed in it") from None
    except RecursionError:
        raise InvalidCheck(f"{what} is nested too deep") from None


def literal(text: str, what: str = "the expected value") -> Any:
    """The plain value that `text` denotes, made anew. Raises InvalidCheck.

    Besides literals: arithmetic, ``set()``, ``float("inf")``, ``range``, ``Counter``, ``Decimal``, ``Fraction``, dates.
    """
    try:
        return _prepared(text, what).value({})
    except Failed as error:
        raise InvalidCheck(f"{what} has no value: {error}") from None


def exception_names(text: str) -> frozenset[str]:
    """Names of the exception classes that ``ValueError``, ``json.JSONDecodeError`` or a tuple of such denotes."""
    tree = parse(text, "the expected exception").body
    names = []
    for node in tree.elts if isinstance(tree, ast.Tuple) else [tree]:
        if not isinstance(node, ast.Name | ast.Attribute):
            raise InvalidCheck(f"the expected exception must be a class name or a tuple of them, not {text[:80]!r}")
        name = node.id if isinstance(node, ast.Name) else node.attr
        known = getattr(builtins, name, None)
        names.append(known.__name__ if isinstance(known, type) else name)
    return frozenset(names)


def validate_expected(check: CallCheck) -> None:
    """Raise InvalidCheck where the expected value of a call check cannot be read or does not fit its comparison."""
    if check.compare in ("truthy", "falsy"):
        return
    if check.compare == "raises":
        exception_names(check.expected)
        return
    expected = literal(check.expected)
    if check.compare in ("is", "is_not"):
        is_same(None, expected)
    if check.compare in ("in", "not_in", "any_of", "unordered") and not hasattr(expected, "__iter__"):
        raise InvalidCheck(f"for {check.compare!r} the expected value must be a collection")
    if check.compare == "isinstance":
        types = expected if isinstance(expected, tuple) else (expected,)
        if not all(isinstance(part, type) for part in types):
            raise InvalidCheck("for 'isinstance' the expected value must be a built-in type or a tuple of them")


def holds(check: CallCheck, actual: Any) -> bool:
    """Whether `actual` is what `check` wants. Raises TypeError and the like where they can't be compared."""
    if check.compare == "raises":
        return isinstance(actual, Raised) and not exception_names(check.expected).isdisjoint(actual.names)
    if check.compare in ("truthy", "falsy"):
        return bool(actual) is (check.compare == "truthy")
    expected = literal(check.expected)
    if check.compare == "close":
        return close(actual, expected, check.rel_tol, check.abs_tol)
    return bool(_COMPARE[check.compare](actual, expected))


def close(actual: Any, expected: Any, rel_tol: float, abs_tol: float) -> bool:
    """Equal up to a tolerance in every number, at any depth; types of containers must agree."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return actual.keys() == expected.keys() and all(
            close(actual[key], expected[key], rel_tol, abs_tol) for key in expected
        )
    if isinstance(expected, list | tuple) and type(actual) is type(expected):
        return len(actual) == len(expected) and all(
            close(one, other, rel_tol, abs_tol) for one, other in zip(actual, expected, strict=True)
        )
    if isinstance(actual, int | float) and isinstance(expected, int | float) and not isinstance(expected, bool):
        return math.isclose(actual, expected, rel_tol=rel_tol, abs_tol=abs_tol)
    if isinstance(actual, complex) or isinstance(expected, complex):
        return cmath.isclose(actual, expected, rel_tol=rel_tol, abs_tol=abs_tol)  # knows that infinity is near nothing
    return bool(actual == expected)


def unordered(actual: Any, expected: Any) -> bool:
    """The same elements the same number of times, in any order and any kind of collection."""
    if isinstance(actual, str | bytes) or isinstance(expected, str | bytes):
        raise TypeError("texts are compared in order")
    if isinstance(actual, dict) or isinstance(expected, dict):  # going through a dict forgets its values
        return bool(actual == expected)
    sizes = [len(value) for value in (actual, expected) if hasattr(value, "__len__")]
    if len(set(sizes)) > 1:
        return False
    one, other = (hashable(list(map(_key, counted(value)))) for value in (actual, expected))
    return collections.Counter(one) == collections.Counter(other)


def is_in(actual: Any, expected: Any) -> bool:
    """`in`, without end only where it has one: a range looks at every element for what is not exactly an integer."""
    return actual in (expected if type(actual) in (int, bool) else counted(expected))


def counted(value: Any) -> Any:
    """`value`, unless going through its elements would never end: a range is small however long it is."""
    if isinstance(value, range) and len(value) > MAX_COUNTED:
        raise TypeError(f"it has more than {MAX_COUNTED} elements")
    return value


def _key(value: Any) -> Any:
    """A hashable stand-in that is equal exactly where the values are."""
    if isinstance(value, list):
        return "list", tuple(map(_key, value))
    if isinstance(value, tuple):
        return "tuple", tuple(map(_key, value))
    if isinstance(value, set | frozenset):
        return "set", frozenset(map(_key, value))
    if isinstance(value, dict):
        return "dict", frozenset((_key(key), _key(item)) for key, item in value.items())
    return value


def is_singleton(value: Any) -> bool:
    """Whether every process has one object that is equal to `value`, and no more."""
    return any(value is one for one in _SINGLETONS) or isinstance(value, type)


def is_same(actual: Any, expected: Any) -> bool:
    """`is`, where it means something across processes: for None, True, False, ... and built-in types."""
    if not is_singleton(expected):
        raise InvalidCheck("`is` compares with None, True, False or a built-in type only; use equality for values")
    return actual is expected


def _is_instance(actual: Any, expected: Any) -> bool:
    if isinstance(actual, Opaque):
        raise TypeError(actual.reason)
    return isinstance(actual, expected)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "is": is_same,
    "is_not": lambda actual, expected: not is_same(actual, expected),
    "in": is_in,
    "not_in": lambda actual, expected: not is_in(actual, expected),
    "any_of": lambda actual, expected: actual in list(counted(expected)),
    "unordered": unordered,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "isinstance": _is_instance,
}


def show(value: Any, limit: int = SHOWN) -> str:
    """The value as Python source, shortened in the middle. For people, models and records."""
    if isinstance(value, Raised):
        return f"raised {value.names[0] if value.names else '?'}: {value.text}"[:limit]
    text = source(value, limit)
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 + 5 :]}"


def rewound(value: Any) -> Any:
    """The value; of an iterator a copy, so that looking at it here takes nothing from who looks later."""
    return copy.copy(value) if type(value) in _ITERATORS else value


def source(value: Any, limit: int = 10_000_000) -> str:
    """Python source that evaluates to `value`. Roughly `limit` characters are written; then the rest is left out."""
    out: list[str] = []
    _write(value, out, [limit])
    return "".join(out)


def _write(value: Any, out: list[str], left: list[int]) -> None:
    if left[0] < 0:
        out.append("...")
        return
    kind = type(value)
    if kind is list:
        _sequence("[", value, "]", out, left)
    elif kind is tuple:
        _sequence("(", value, ",)" if len(value) == 1 else ")", out, left)
    elif kind in (dict, collections.Counter, collections.defaultdict, collections.OrderedDict):
        default = "None, " if kind is collections.defaultdict else ""
        before, after = ("", "") if kind is dict else (f"__import__('collections').{kind.__name__}({default}", ")")
        _sequence(before + "{", value.items(), "}" + after, out, left, ": ")
    elif kind in (set, frozenset) and value:
        _sequence("{" if kind is set else "frozenset({", value, "}" if kind is set else "})", out, left)
    elif kind is collections.deque:
        _sequence("__import__('collections').deque([", value, "])", out, left)
    elif kind in _VIEWS:
        _sequence("[", rewound(value), "]", out, left)
    else:
        text = _scalar(value, left[0])
        left[0] -= len(text)
        out.append(text)


def _sequence(
    before: str, values: Iterable[Any], after: str, out: list[str], left: list[int], between: str = ""
) -> None:
    out.append(before)
    for index, value in enumerate(values):
        if left[0] < 0:
            out.append(", ...")
            break
        left[0] -= 2
        out.append(", " if index else "")
        if between:
            _write(value[0], out, left)
            out.append(between)
            value = value[1]
        _write(value, out, left)
    out.append(after)


def _scalar(value: Any, limit: int) -> str:
    if isinstance(value, Opaque):
        return f"<{value.reason}>"
    if isinstance(value, Path):
        return ".".join(value.parts)
    if isinstance(value, int) and value.bit_length() > 10_000:
        return hex(value) if value.bit_length() < 4 * limit else f"<a number of {value.bit_length()} bits>"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, str | bytes) and len(value) > 2 * limit:
        value = value[: 2 * limit]
    if type(value) is type:
        return value.__name__
    if isinstance(value, range):  # `repr` refuses integers that are too long
        return f"range({', '.join(_scalar(part, limit) for part in (value.start, value.stop, value.step))})"
    if isinstance(value, fractions.Fraction):
        parts = _scalar(value.numerator, limit), _scalar(value.denominator, limit)
        return f"__import__('fractions').Fraction({', '.join(parts)})"
    text = repr(value)
    module = type(value).__module__
    if module == "decimal":
        return f"__import__('decimal').{text}"
    return text.replace("datetime.", "__import__('datetime').", 1) if module == "datetime" else text


_ITERATORS: tuple[type, ...] = (type(iter([])),)
_VIEWS: tuple[type, ...] = (*_ITERATORS, type({}.keys()), type({}.values()), type({}.items()))
