"""What the host's expression interpreter may call, and what each call costs.

Every function here is pure, works on exact built-in values, and is charged for the size of what it reads and makes.
Where Python's own function can be asked for unbounded work (``10 ** 10 ** 9``, ``round(1, -10 ** 9)``), a bounded one
stands in. Raising is fine anywhere: the interpreter reports it as what the expression came to.
"""

from __future__ import annotations

import ast
import collections
import copy
import datetime
import decimal
import fractions
import math
import operator
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.codec import Opaque, hashable
from sandbox.meter import BUDGET, CONTAINERS, Meter, OutOfBudget


def call(run: Meter, function: Any, positional: list[Any], named: dict[str, Any]) -> Any:
    """Call an allowed function, or a lambda of the expression itself, and pay for arguments and result."""
    if isinstance(function, Lambda):
        return function.body(*positional, **named)
    if id(function) not in _ALLOWED:
        raise TypeError(f"{type(function).__name__} cannot be called here")
    if function in _HIGHER_ORDER:
        positional = [_metered(run, value) for value in positional]
        named = {key: _metered(run, value) for key, value in named.items()}
    for value in (*positional, *named.values()):
        if isinstance(value, Opaque):
            raise TypeError(value.reason)
        run.spend(operator.length_hint(value, 0) if type(value) not in (str, bytes) else len(value) >> 4)
        run.spend(value.bit_length() >> 4 if type(value) is int else 0)
    replacement = _BOUNDED.get(id(function))
    result = replacement(run, *positional, **named) if replacement else function(*positional, **named)
    run.weigh(result)
    return result


_REPEATED = (list, tuple, str, bytes, bytearray, collections.deque)


@dataclass(frozen=True, eq=False)
class Lambda:
    """A lambda of the expression."""

    body: Callable[..., Any]


def _metered(run: Meter, value: Any) -> Any:
    if isinstance(value, Lambda) or id(value) in _ALLOWED:
        return lambda *items: call(run, value, list(items), {})
    return value


def call_method(run: Meter, owner: Any, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    """Call a method that changes nothing of a value of exact built-in type."""
    if name not in METHODS.get(type(owner), ()):
        raise TypeError(f"{type(owner).__name__}.{name} cannot be called here")
    for value in (owner, *positional):
        run.weigh(value)
        run.spend(operator.length_hint(value, 0) if type(value) not in (str, bytes) else 0)
    if name == "replace":
        run.spend((len(owner) + 1) * (max(map(len, positional[:2])) + 1) >> 4)
    if name == "zfill":
        run.spend(abs(positional[0]))
    if type(owner) in (set, frozenset):
        positional = [hashable(list(values)) for values in positional]
    result = getattr(owner, name)(*positional, **named)
    run.weigh(result)
    return result


def _mul(run: Meter, left: Any, right: Any) -> Any:
    for sequence, times in ((left, right), (right, left)):
        if type(sequence) in _REPEATED and type(times) in (int, bool):
            size = Meter()
            size.weigh(sequence)
            run.spend((BUDGET - size.left + len(sequence)) * max(times, 0))
            return sequence * times
    run.spend(_bits(left) * _bits(right) >> 12)
    return left * right


def _power(run: Meter, base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is not None:
        run.spend(_bits(modulus) ** 2 * _bits(exponent) >> 12)
    elif type(exponent) is not float and type(base) is not float:
        run.spend((_bits(base) * abs(int(exponent))) ** 2 >> 16)
    return pow(base, exponent, modulus)


def _shift(run: Meter, left: Any, right: Any) -> Any:
    run.spend(_bits(left) + abs(right) >> 4)
    return left << right


def _modulo(run: Meter, left: Any, right: Any) -> Any:
    if isinstance(left, str | bytes | bytearray):
        raise TypeError("text is not formatted here")
    return _divide(run, operator.mod, left, right)


def _divide(run: Meter, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    run.spend(_bits(left) * _bits(right) >> 12)
    return function(left, right)


def _plain(function: Callable[[Any, Any], Any]) -> Callable[[Meter, Any, Any], Any]:
    def operate(run: Meter, left: Any, right: Any) -> Any:
        run.spend(_bits(left) + _bits(right) >> 6)
        result = function(left, right)
        run.weigh(result)
        return result

    return operate


def _contained(run: Meter, left: Any, right: Any) -> bool:
    run.weigh(left if type(left) in CONTAINERS else right)
    if type(right) is range and type(left) not in (int, bool):  # then every element of it is looked at
        run.spend(len(right))
    return left in right


def _compared(function: Callable[[Any, Any], Any]) -> Callable[[Meter, Any, Any], Any]:
    def compare(run: Meter, left: Any, right: Any) -> Any:
        run.weigh(left if type(left) in CONTAINERS else right)
        return function(left, right)

    return compare


def _bits(value: Any) -> int:
    """Size of a number in bits; other values are as small as a float."""
    if isinstance(value, int):
        return value.bit_length()
    if isinstance(value, fractions.Fraction):
        return value.numerator.bit_length() + value.denominator.bit_length()
    return 64


def _sum(run: Meter, values: Iterable[Any], start: Any = 0) -> Any:
    for value in run.iterate(values):
        start = BINARY[ast.Add](run, start, value)
    return start


def _round(run: Meter, value: Any, digits: Any = None) -> Any:
    if digits is not None and not -400 < digits < 400:
        raise OutOfBudget("rounding to that many digits")
    return round(value, digits)


def _fraction(run: Meter, *parts: Any) -> fractions.Fraction:
    if any(isinstance(part, str) and (len(part) > 400 or "e" in part.lower()) for part in parts):
        raise OutOfBudget("a fraction from that text")
    return fractions.Fraction(*parts)


def _small(function: Callable[..., Any], largest: int) -> Callable[..., Any]:
    def bounded(run: Meter, *values: Any) -> Any:
        if any(abs(value) > largest for value in values):
            raise OutOfBudget(f"a number larger than {largest}")
        return function(*values)

    return bounded


def _integral(function: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(run: Meter, *values: Any) -> Any:
        run.spend(sum(map(_bits, values)) ** 2 >> 12)
        return function(*values)

    return bounded


def _bytes(run: Meter, values: Any = b"", *encoding: Any) -> bytes:
    if isinstance(values, int):
        raise TypeError("bytes of a count")
    return bytes(values, *encoding)


def _hashed(function: Callable[..., Any]) -> Callable[..., Any]:
    def make(run: Meter, *values: Iterable[Any]) -> Any:
        return function(*(hashable(list(run.iterate(value))) for value in values))

    return make


def _dict(run: Meter, values: Any = (), **named: Any) -> dict[Any, Any]:
    if not isinstance(values, dict):
        values = [tuple(run.iterate(pair)) for pair in run.iterate(values)]
        hashable([pair[0] for pair in values])
    return dict(values, **named)


def _counter(run: Meter, values: Any = (), **named: Any) -> collections.Counter[Any]:
    return collections.Counter(values if isinstance(values, dict) else hashable(list(run.iterate(values))), **named)


def _copied(run: Meter, value: Any, function: Callable[[Any], Any]) -> Any:
    run.weigh(value)
    return function(value)


def _eager(function: Callable[..., Iterable[Any]]) -> Callable[..., Iterator[Any]]:
    return lambda run, *values: iter(list(run.iterate(function(*values))))


UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert,
}  # fmt: skip
BINARY: dict[type[ast.operator], Callable[[Meter, Any, Any], Any]] = {
    ast.Add: _plain(operator.add), ast.Sub: _plain(operator.sub), ast.Mult: _mul, ast.Pow: _power,
    ast.Div: lambda run, left, right: _divide(run, operator.truediv, left, right),
    ast.FloorDiv: lambda run, left, right: _divide(run, operator.floordiv, left, right),
    ast.Mod: _modulo, ast.LShift: _shift, ast.RShift: _plain(operator.rshift),
    ast.BitAnd: _plain(operator.and_), ast.BitOr: _plain(operator.or_), ast.BitXor: _plain(operator.xor),
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], Callable[[Meter, Any, Any], Any]] = {
    ast.Eq: _compared(operator.eq), ast.NotEq: _compared(operator.ne), ast.Lt: _compared(operator.lt),
    ast.LtE: _compared(operator.le), ast.Gt: _compared(operator.gt), ast.GtE: _compared(operator.ge),
    ast.Is: _compared(operator.is_), ast.IsNot: _compared(operator.is_not),
    ast.In: _contained, ast.NotIn: lambda run, left, right: not _contained(run, left, right),
}  # fmt: skip

BUILTINS: dict[str, Any] = {
    function.__name__: function
    for function in (
        abs, all, any, bool, bytes, chr, complex, dict, divmod, enumerate, filter, float, frozenset, hex, int,
        isinstance, iter, len, list, map, max, min, next, ord, pow, range, repr, reversed, round, set, sorted, str, sum,
        tuple, type, zip, bin, oct,
    )
} | {"inf": math.inf, "nan": math.nan, "NotImplemented": NotImplemented}  # fmt: skip

MODULES: dict[str, Any] = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module, names in (
        (math, "acos asin atan atan2 ceil comb copysign cos degrees e exp fabs factorial floor fmod gcd hypot inf "
               "isclose isfinite isinf isnan isqrt lcm log log10 log2 nan perm pi pow radians sin sqrt tan tau trunc"),
        (collections, "Counter OrderedDict deque"),
        (copy, "copy deepcopy"),
        (decimal, "Decimal"),
        (fractions, "Fraction"),
        (datetime, "date datetime time timedelta"),
        (string, "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation"),
    )
    for name in names.split()
}  # fmt: skip

_BOUNDED: dict[int, Callable[..., Any]] = {
    id(pow): _power, id(sum): _sum, id(round): _round, id(bytes): _bytes, id(fractions.Fraction): _fraction,
    id(math.factorial): _small(math.factorial, 2_000), id(math.comb): _small(math.comb, 2_000),
    id(math.perm): _small(math.perm, 2_000), id(math.gcd): _integral(math.gcd), id(math.lcm): _integral(math.lcm),
    id(math.isqrt): _integral(math.isqrt), id(copy.copy): lambda run, value: _copied(run, value, copy.copy),
    id(copy.deepcopy): lambda run, value: _copied(run, value, copy.deepcopy),
    id(map): _eager(map), id(filter): _eager(filter), id(zip): _eager(zip),
    id(enumerate): lambda run, values, start=0: iter(list(enumerate(run.iterate(values), start))),
    id(iter): lambda run, values: iter(values), id(type): lambda run, value: type(value),
    id(set): _hashed(set), id(frozenset): _hashed(frozenset), id(dict): _dict, id(collections.Counter): _counter,
    id(divmod): lambda run, left, right: _divide(run, divmod, left, right),
}  # fmt: skip
_HIGHER_ORDER = (map, filter, sorted, min, max)
_ALLOWED = {id(function) for function in (*BUILTINS.values(), *MODULES.values()) if callable(function)}

_TEXT = frozenset(
    "capitalize casefold count encode endswith find index isalnum isalpha isascii isdigit islower isspace istitle "
    "isupper join lower lstrip replace rfind rindex rsplit rstrip split splitlines startswith strip swapcase title "
    "upper zfill decode hex".split()
)
_MAPPING = frozenset("copy get items keys values most_common".split())
_SET = frozenset("copy difference intersection isdisjoint issubset issuperset symmetric_difference union".split())
METHODS: dict[type, frozenset[str]] = {
    str: _TEXT, bytes: _TEXT, list: frozenset(("copy", "count", "index")), tuple: frozenset(("count", "index")),
    dict: _MAPPING, collections.Counter: _MAPPING, collections.defaultdict: _MAPPING, collections.OrderedDict: _MAPPING,
    set: _SET, frozenset: _SET, int: frozenset(("bit_length",)), float: frozenset(("is_integer",)),
    range: frozenset(("count", "index")),
}  # fmt: skip
METHOD_NAMES = frozenset().union(*METHODS.values())
