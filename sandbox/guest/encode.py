"""Turns a value that a candidate returned into bytes. Standard library only; runs beside the candidate.

A value is written as a tag byte and its content; lengths and counts are four bytes, little endian (`sandbox.codec`
reads it). Only exact built-in types and a few exact standard-library value types are values: an instance of a subclass
is reported as *opaque* with its type's name, since what it claims to equal is the candidate's business.

Nothing here is trusted. A candidate that subverts this module can only choose which value it returns, which it can
do anyway; what decides is compared on the host.
"""

from __future__ import annotations

import builtins
import itertools
import sys
from _struct import pack as _pack

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself takes longer to import than many a candidate to run
    from collections.abc import Callable, Iterable
    from typing import Any

# Functions below keep these, whatever the candidate does to `builtins`.
globals()["__builtins__"] = dict(vars(builtins))

MAX_BYTES = 3_500_000
MAX_DEPTH = 200

_modules = sys.modules
_mro, _name, _qualified_name, _module, _flags = (  # asked of `type` itself: a metaclass says what it likes
    type.__dict__[field].__get__ for field in ("__mro__", "__name__", "__qualname__", "__module__", "__flags__")
)
_MADE_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a function has attributes too, and is more than those


def _home(kind: type) -> tuple[Any, Any]:
    """Module and qualified name of a class; None where it has been stripped of them."""
    try:
        return _module(kind), _qualified_name(kind)
    except AttributeError:
        return None, None


def _attributes(value: Any) -> Any:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None


_iterators: tuple[type, ...] = (
    type(iter([])), type(iter(())), type(iter(set())), type(iter({})), type(iter({}.values())), type(iter({}.items())),
    type(iter(range(0))), type(iter("")), type(iter("\u1234")), type(iter(b"")), type(reversed([])),
    type(reversed({})), type(_ for _ in range(0)), map, filter, zip, enumerate, reversed,
    *(kind for kind in vars(itertools).values() if type(kind) is type and hasattr(kind, "__next__")),
)
_types = {getattr(builtins, name) for name in dir(builtins) if type(getattr(builtins, name)) is type}


class TooLarge(Exception):
    """The value is larger or deeper than a frame may be."""


class Encoder:
    """Collects the bytes of one value. With `objects`, instances of other classes travel as name and attributes."""

    def __init__(self, objects: bool = False) -> None:
        self.objects = objects
        self.lossy = False
        self.parts: list[bytes] = []
        self.size = 0
        self.open: set[int] = set()

    def put(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > MAX_BYTES:
            raise TooLarge(f"it is larger than {MAX_BYTES} bytes when written out")
        self.parts.append(data)

    def blob(self, tag: bytes, data: bytes) -> None:
        self.put(tag + _pack("<I", len(data)))
        self.put(data)

    def text(self, tag: bytes, value: str) -> None:
        if len(value) > MAX_BYTES:
            raise TooLarge(f"it holds a text of {len(value)} characters")
        self.blob(tag, value.encode("utf-8", "surrogatepass"))

    def integer(self, value: int) -> None:
        bits = int.bit_length(value)
        if bits > MAX_BYTES * 8:
            raise TooLarge(f"it holds a number of {bits} bits")
        self.blob(b"i", int.to_bytes(value, bits // 8 + 1, "little", signed=True))

    def items(self, tag: bytes, values: Iterable[Any], depth: int) -> None:
        """Write a counted sequence. A copy is written: a thread of the candidate may be changing the original."""
        values = list(values)
        self.put(tag + _pack("<I", len(values)))
        for value in values:
            self.value(value, depth)

    def value(self, value: Any, depth: int = 0) -> None:
        """Write any value. Containers are followed, each occurrence anew; a container inside itself is refused."""
        kind = type(value)
        writer = _SCALARS.get(kind)
        if writer is not None:
            writer(self, value)
            return
        if depth >= MAX_DEPTH or id(value) in self.open:
            raise TooLarge(f"it is nested deeper than {MAX_DEPTH} levels or contains itself")
        self.open.add(id(value))
        try:
            self.container(kind, value, depth + 1)
        finally:
            self.open.discard(id(value))

    def container(self, kind: type, value: Any, depth: int) -> None:
        if kind in _SEQUENCES:
            self.items(_SEQUENCES[kind], value, depth)
        elif kind is dict:
            self.items(b"d", [part for item in value.items() for part in item], depth)
        elif kind in _VIEWS:
            self.items(_VIEWS[kind], value, depth)
        elif any(kind is one for one in _iterators):  # `in` would ask the class whether it equals one of them
            self.items(b"I", self.exhaust(value), depth)
        elif kind is range:
            self.items(b"r", [value.start, value.stop, value.step], depth)
        elif kind is type and value in _types:
            self.text(b"Y", value.__name__)
        elif not (self.library(kind, value, depth) or (self.objects and self.instance(kind, value, depth))):
            self.opaque(kind)

    def exhaust(self, iterator: Iterable[Any]) -> list[Any]:
        """What is left in an iterator, as a list no longer than a frame can hold."""
        found = []
        for item in iterator:
            found.append(item)
            if len(found) > MAX_BYTES // 2:
                raise TooLarge("it is an iterator that does not end soon enough")
        return found

    def library(self, kind: type, value: Any, depth: int) -> bool:
        """Write a value of one of the standard library's value types; False where it is none."""
        where, name = _home(kind)
        if type(where) is not str or kind is not getattr(_modules.get(where), name, None):
            return False
        if where == "collections" and name in ("Counter", "defaultdict", "OrderedDict"):
            tag = {"Counter": b"C", "defaultdict": b"D", "OrderedDict": b"O"}[name]
            self.items(tag, [part for item in dict.items(value) for part in item], depth)
        elif where == "collections" and name == "deque":
            self.items(b"q", value, depth)
        elif where == "decimal" and name == "Decimal":
            self.text(b"m", str(value))
        elif where == "fractions" and name == "Fraction":
            self.items(b"R", [value.numerator, value.denominator], depth)
        elif where == "datetime" and getattr(value, "tzinfo", None) is None and name in _DATES:
            self.items(_DATES[name][0], [getattr(value, field) for field in _DATES[name][1]], depth)
        else:
            return False
        return True

    def instance(self, kind: type, value: Any, depth: int) -> bool:
        """Write the attributes of an object that is nothing but attributes; False where it is more."""
        attributes = _attributes(value)
        if _mro(kind)[1:] != (object,) or type(attributes) is not dict or not _flags(kind) & _MADE_IN_PYTHON:
            return False
        self.items(b"o", [_name(kind), *(part for item in attributes.items() for part in item)], depth)
        return True

    def opaque(self, kind: type) -> None:
        """Write that a value is not plain data; only the name of its type travels."""
        self.lossy = True
        name = _name(kind)
        self.text(b"U", name if type(name) is str else "?")


_SCALARS: dict[type, Callable[[Encoder, Any], None]] = {
    type(None): lambda out, value: out.put(b"N"),
    type(...): lambda out, value: out.put(b"E"),
    type(NotImplemented): lambda out, value: out.put(b"X"),
    bool: lambda out, value: out.put(b"T" if value else b"F"),
    int: Encoder.integer,
    float: lambda out, value: out.put(b"f" + _pack("<d", value)),
    complex: lambda out, value: out.put(b"c" + _pack("<dd", value.real, value.imag)),
    str: lambda out, value: out.text(b"s", value),
    bytes: lambda out, value: out.blob(b"b", value),
    bytearray: lambda out, value: out.blob(b"B", bytes(value)),
}
_SEQUENCES = {list: b"l", tuple: b"t", set: b"S", frozenset: b"Z"}
_VIEWS = {type({}.keys()): b"K", type({}.values()): b"V", type({}.items()): b"M"}
_DATE = ("year", "month", "day")
_TIME = ("hour", "minute", "second", "microsecond")
_DATES = {
    "date": (b"a", _DATE),
    "time": (b"h", _TIME),
    "datetime": (b"A", _DATE + _TIME),
    "timedelta": (b"e", ("days", "seconds", "microseconds")),
}


def encode(value: Any, objects: bool = False) -> bytes:
    """The bytes of `value`, or of a mark that says why it cannot be written. Never raises for a plain value."""
    try:
        out = Encoder(objects)
        out.value(value)
        return b"".join(out.parts)
    except TooLarge as error:
        out = Encoder()
        out.text(b"L", str(error))
        return b"".join(out.parts)


def sequence(tag: bytes, parts: list[bytes]) -> bytes:
    """Join bytes that are already encoded into one list (tag ``b"l"``) or tuple (tag ``b"t"``)."""
    return tag + _pack("<I", len(parts)) + b"".join(parts)
