"""Reads what a guest says: one frame, strictly. Every byte is hostile.

The format is described where it is written, in `sandbox/guest/encode.py` and `sandbox/guest/child.py`. The reader is
iterative, bounds every count by the bytes that are left, and makes only objects of exact built-in types, of the
standard library's value types, and the two marks below. It never raises anything but `MalformedFrame`.
"""

from __future__ import annotations

import builtins
import datetime
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_DEPTH = 210
MAX_SAME_HASH = 64
MAX_EXACT_BYTES = 2_000


class MalformedFrame(ValueError):
    """The bytes are not one well-formed frame."""


@dataclass(frozen=True, eq=False)
class Opaque:
    """A returned value that is not plain data. `reason` says what it was.

    What it would compare equal to, and whether it is true, is for its own class to say, and that class belongs to
    the program. So it refuses to say either.
    """

    reason: str

    def __eq__(self, other: object) -> bool:
        raise TypeError(self.reason)

    def __bool__(self) -> bool:
        raise TypeError(self.reason)

    __hash__ = object.__hash__


@dataclass(frozen=True, eq=False)
class Instance(Opaque):
    """An object that is nothing but attributes, of a class named `name`."""

    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Path:
    """A name of the program, or an object that lives in its process. Only a judge's frame may hold one."""

    parts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Raised:
    """An exception: the names of its classes (most derived first), its text, and its place in the program."""

    names: tuple[str, ...]
    text: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one frame says. `kind` is end, raised, exit or syntax; fields that do not apply keep their defaults."""

    kind: str
    values: tuple[Any, ...] = ()
    phase: str = ""
    error: Raised | None = None
    status: int = 0
    message: str = ""


def read_frame(result: bytes, paths: bool = False) -> Any:
    """The value in everything that was written to a result channel: exactly one frame, nothing after it.

    `paths` allows `Path`, which only a judge has reason to write.
    """
    if len(result) < 4 or int.from_bytes(result[:4], "little") != len(result) - 4:
        raise MalformedFrame("the result channel does not hold exactly one frame")
    return read_value(result[4:], paths)


def read_value(data: bytes, paths: bool = False) -> Any:
    """One encoded value, and nothing after it."""
    try:
        return _Reader(data, paths).read()
    except (ValueError, TypeError, LookupError, ArithmeticError, struct.error) as error:
        raise MalformedFrame(str(error)) from error


def read_report(result: bytes) -> Report:
    """What a step of the candidate came to."""
    try:
        match read_frame(result):
            case ("end", list() as values):
                return Report(kind="end", values=_entries(values))
            case ("raised", list() as values, str() as phase, error):
                return Report(kind="raised", values=_entries(values), phase=phase, error=_raised(error))
            case ("exit", list() as values, str() as phase, int() as status):
                return Report(kind="exit", values=_entries(values), phase=phase, status=status)
            case ("syntax", str() as message):
                return Report(kind="syntax", message=message)
    except TypeError as error:
        raise MalformedFrame(str(error)) from error
    raise MalformedFrame("the frame is no report")


def _entries(values: list[Any]) -> tuple[Any, ...]:
    found = []
    for entry in values:
        match entry:
            case ("value", value):
                found.append(value)
            case ("error", error):
                found.append(_raised(error))
            case _:
                raise MalformedFrame("an entry is neither a value nor an error")
    return tuple(found)


def _raised(error: Any) -> Raised:
    match error:
        case (tuple() as names, str() as text, str() as place) if all(type(name) is str for name in names):
            return Raised(names=names, text=text, place=place)
    raise MalformedFrame("an exception is not described as one")


class _Reader:
    """Reads one encoded value; containers in progress are kept on a stack, so depth costs no recursion."""

    def __init__(self, data: bytes, paths: bool) -> None:
        self.data = data
        self.at = 0
        self.containers = {**_CONTAINERS, "P": _path} if paths else _CONTAINERS

    def read(self) -> Any:
        root: list[Any] = []
        stack: list[tuple[str, int, list[Any]]] = [("", 1, root)]
        while True:
            tag, count, items = stack[-1]
            if len(items) < count:
                tag = self.take(1).decode("latin-1")
                if tag not in self.containers:
                    items.append(self.scalar(tag))
                elif len(stack) > MAX_DEPTH:
                    raise MalformedFrame("nested too deep")
                else:
                    stack.append((tag, self.count(), []))
            elif len(stack) > 1:
                stack.pop()
                stack[-1][2].append(self.containers[tag](items))
            elif self.at != len(self.data):
                raise MalformedFrame("bytes after the value")
            else:
                return root[0]

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise MalformedFrame("cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def count(self) -> int:
        count = int.from_bytes(self.take(4), "little")
        if count > len(self.data) - self.at:
            raise MalformedFrame("a count is larger than the frame")
        return count

    def scalar(self, tag: str) -> Any:
        if tag in _ATOMS:
            return _ATOMS[tag]
        if tag == "f":
            return struct.unpack("<d", self.take(8))[0]
        if tag == "c":
            return complex(*struct.unpack("<dd", self.take(16)))
        if tag not in _BLOBS:
            raise MalformedFrame("an unknown tag")
        return _BLOBS[tag](self.take(self.count()))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _type(data: bytes) -> type:
    found = getattr(builtins, _text(data), None)
    if type(found) is not type:
        raise MalformedFrame("not a built-in type")
    return found


def _decimal(data: bytes) -> Decimal:
    value = Decimal(_text(data)) if len(data) <= MAX_EXACT_BYTES else Decimal("sNaN")
    if value.is_snan() or (value.is_finite() and abs(value.adjusted()) > MAX_EXACT_BYTES):
        raise MalformedFrame("a decimal that is too large")
    return value


def hashable(items: list[Any]) -> list[Any]:
    """`items` as they are. Refuses ones that were chosen to collide: hashing those takes quadratic time."""
    if items and max(Counter(map(hash, items)).values()) > MAX_SAME_HASH:
        raise MalformedFrame("too many keys with the same hash")
    return items


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    if len(items) % 2:
        raise MalformedFrame("a key without a value")
    return list(zip(hashable(items[::2]), items[1::2], strict=True))


def _exact(items: list[Any], count: int) -> list[int]:
    """`count` integers, each of a size whose arithmetic is cheap."""
    if len(items) != count or any(type(item) is not int or item.bit_length() > 8 * MAX_EXACT_BYTES for item in items):
        raise MalformedFrame(f"not {count} small integers")
    return items


def _instance(items: list[Any]) -> Instance:
    name, attributes = items[0], dict(_pairs(items[1:]))
    if not all(type(part) is str and part.isidentifier() and part[:2] != "__" for part in (name, *attributes)):
        raise MalformedFrame("an object without a name")
    return Instance(f"an object of type {name}", name, attributes)


def _path(items: list[Any]) -> Path:
    if not items or not all(type(part) is str and part.isidentifier() for part in items):
        raise MalformedFrame("no path of names")
    return Path(tuple(items))


_ATOMS: dict[str, Any] = {"N": None, "T": True, "F": False, "E": ..., "X": NotImplemented}
_BLOBS: dict[str, Callable[[bytes], Any]] = {
    "i": lambda data: int.from_bytes(data, "little", signed=True),
    "s": _text,
    "b": bytes,
    "B": bytearray,
    "m": _decimal,
    "Y": _type,
    "U": lambda data: Opaque(f"an object of type {_text(data)}"),
    "L": lambda data: Opaque(f"a value that cannot be written out: {_text(data)}"),
}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": lambda items: items,
    "t": tuple,
    "d": lambda items: dict(_pairs(items)),
    "S": lambda items: set(hashable(items)),
    "Z": lambda items: frozenset(hashable(items)),
    "K": lambda items: dict.fromkeys(hashable(items)).keys(),
    "V": lambda items: dict(enumerate(items)).values(),
    "M": lambda items: dict(_pairs([part for pair in items for part in pair])).items(),
    "I": iter,
    "o": _instance,
    "r": lambda items: range(*_exact(items, 3)),
    "C": lambda items: Counter(dict(_pairs(items))),
    "D": lambda items: defaultdict(None, _pairs(items)),
    "O": lambda items: OrderedDict(_pairs(items)),
    "q": deque,
    "R": lambda items: Fraction(*_exact(items, 2)),
    "a": lambda items: datetime.date(*_exact(items, 3)),
    "h": lambda items: datetime.time(*_exact(items, 4)),  # type: ignore[arg-type]
    "A": lambda items: datetime.datetime(*_exact(items, 7)),  # type: ignore[arg-type]
    "e": lambda items: datetime.timedelta(*_exact(items, 3)),
}
