"""The codec: what the guest writes, the host reads; anything else it refuses, whatever the bytes."""

from __future__ import annotations

import datetime
import math
import random
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.codec import Instance, MalformedFrame, Opaque, Path, Raised, hashable, read_frame, read_report, read_value
from sandbox.guest.encode import MAX_BYTES, encode, sequence

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False)
)  # fmt: skip
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=30,
)


def same(one: Any, other: Any) -> bool:
    """Equal with the same types at every depth. Sets and keys are looked at through their order-free contents."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


@given(VALUES)
def test_values_arrive_as_they_were(value: Any) -> None:
    assert same(read_value(encode(value)), value)


@pytest.mark.parametrize(
    "value",
    [
        2**100_000, -(2**63), -1, 0, "\ud800\0", bytearray(b"x"), ..., NotImplemented, math.inf, -0.0, int, ValueError,
        range(3, 1, -2), Counter("aab"), OrderedDict(b=1, a=2), deque([1, 2]), Decimal("1.50"), Fraction(-3, 7),
        datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 4), datetime.time(1, 2),
        datetime.timedelta(days=-1, microseconds=5), {1: 2}.keys(), {1: [2]}.items(), frozenset({frozenset()}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_odd_values_arrive_as_they_were(value: Any) -> None:
    found = read_value(encode(value))
    assert type(found) is type(value)
    assert found == value
    assert value != 0 or repr(found) == repr(value)  # -0.0 is not 0.0


def test_nan_arrives() -> None:
    assert math.isnan(read_value(encode(math.nan)))


def test_defaultdict_arrives_without_its_factory() -> None:
    found = read_value(encode(defaultdict(list, {1: [2]})))
    assert found == {1: [2]}
    assert found.default_factory is None


@pytest.mark.parametrize("value", [iter([1, 2]), map(abs, [1, -2]), (x for x in (1, 2)), reversed([2, 1]), zip([1, 2])])
def test_iterators_arrive_as_iterators(value: Any) -> None:
    found = read_value(encode(value))
    assert found != [1, 2]
    assert list(found) in ([1, 2], [(1,), (2,)])


class Int(int):
    pass


class Anything:
    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize(
    "value",
    [Int(4), Anything(), namedtuple("P", "x")(1), print, object(), type("C", (), {}), math, datetime.UTC],
    ids=str,
)  # fmt: skip
def test_what_is_not_plain_is_opaque_and_equals_nothing(value: Any) -> None:
    found = read_value(encode([value]))[0]
    assert type(found) is Opaque
    for use in (lambda: found == 4, lambda: found != 4, lambda: bool(found), lambda: [found] == [4]):
        with pytest.raises(TypeError, match="an object of type"):
            use()


def test_values_that_are_too_much_are_opaque() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 0
    for _ in range(300):
        deep = [deep]
    for value in (loop, deep, "x" * (MAX_BYTES + 1), [0] * 1_000_000, 1 << (9 * MAX_BYTES)):
        found = read_value(encode(value))
        assert type(found) is Opaque
        assert "cannot be written out" in found.reason


def test_shared_parts_are_written_twice() -> None:
    row = [0]
    assert read_value(encode([row, row])) == [[0], [0]]


def test_objects_travel_only_where_asked_for() -> None:
    class Node:
        def __init__(self, val: Any, next: Any = None) -> None:
            self.val = val
            self.next = next

    assert type(read_value(encode(Node(1)))) is Opaque
    found = read_value(encode(Node(1, Node(2)), objects=True))
    assert type(found) is Instance
    assert found.name == "Node"
    assert found.attributes["val"] == 1
    assert found.attributes["next"].attributes == {"val": 2, "next": None}
    with pytest.raises(TypeError):
        bool(found)


def test_reports() -> None:
    error = encode((("KeyError", "LookupError"), "'k'", "line 1, in f"))
    values = sequence(b"l", [sequence(b"t", [encode("value"), encode(4)]), sequence(b"t", [encode("error"), error])])
    raised = Raised(names=("KeyError", "LookupError"), text="'k'", place="line 1, in f")
    report = read_report(frame(sequence(b"t", [encode("end"), values])))
    assert report.kind == "end"
    assert report.values == (4, raised)
    report = read_report(frame(sequence(b"t", [encode("raised"), values, encode("call"), error])))
    assert report.error == raised
    assert report.phase == "call"
    assert read_report(frame(encode(("syntax", "bad")))).message == "bad"
    assert read_report(frame(sequence(b"t", [encode("exit"), encode([]), encode("load"), encode(3)]))).status == 3


@pytest.mark.parametrize(
    "result",
    [
        b"", b"N", frame(b""), frame(b"N") + b"x", frame(b"N") * 2, b"\xff\xff\xff\xffN", frame(b"?"), frame(b"NN"),
        frame(encode(("end",))), frame(encode(("end", [4]))), frame(encode(("end", [("value",)]))),
        frame(encode("end")),
        frame(encode(("raised", [], "call", "KeyError"))), frame(encode(("raised", [], "call", ((1,), "", "")))),
        frame(encode(("exit", [], "call", None))), frame(encode(("passed",))),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(result: bytes) -> None:
    with pytest.raises(MalformedFrame):
        read_report(result)


def count(tag: bytes, number: int) -> bytes:
    return tag + struct.pack("<I", number)


@pytest.mark.parametrize(
    "body",
    [
        count(b"l", 2**32 - 1), count(b"s", 5) + b"abc", count(b"s", 1) + b"\xff", count(b"i", 2**31), b"f1234",
        count(b"l", 1) * 400 + b"N", count(b"d", 1) + b"N", count(b"S", 1) + count(b"l", 0), count(b"r", 2) + b"NN",
        count(b"r", 3) + encode(1) * 2 + encode(0), count(b"Y", 4) + b"exec", count(b"Y", 12) + b"builtins.int",
        count(b"m", 6) + b"1e9999", count(b"m", 4) + b"sNaN", count(b"m", 3) + b"abc", count(b"R",
        2) + encode(1) + encode(0),
        count(b"R", 2) + encode(1 << 100_000) + encode(3), count(b"a", 3) + encode(1) * 2 + encode(40),
        count(b"e", 3) + encode(10**20) + encode(0) * 2, count(b"M", 1) + encode(3), count(b"o", 0),
        count(b"o", 3) + encode("C") + encode("__class__") + b"N", count(b"o", 1) + encode("a b"),
        count(b"P", 1) + encode("x"),
    ],
)  # fmt: skip
def test_broken_values_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedFrame):
        read_frame(frame(body))


def test_paths_are_for_judges_only() -> None:
    body = count(b"P", 2) + encode("a") + encode("b")
    assert read_value(body, paths=True) == Path(("a", "b"))
    with pytest.raises(MalformedFrame):
        read_value(count(b"P", 1) + encode("a.b()"), paths=True)


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read_value(data, paths=True)
    except MalformedFrame:
        pass


def test_damaged_values_are_read_or_refused() -> None:
    chooser = random.Random(7)
    whole = encode([1, {"a": (2.5, None)}, Counter("ab"), {frozenset({3})}, Decimal("1.5"), range(4), "ä", b"\0"])
    refused = 0
    for _ in range(3_000):
        data = bytearray(whole)
        for _ in range(chooser.randint(1, 4)):
            data[chooser.randrange(len(data))] = chooser.randrange(256)
        try:
            read_value(bytes(data))
        except MalformedFrame:
            refused += 1
    assert refused > 300


def test_keys_that_collide_are_refused() -> None:
    colliding = [index * (2**61 - 1) for index in range(1, 200)]
    assert len({hash(number) for number in colliding}) == 1
    for value in (set(colliding), dict.fromkeys(colliding), frozenset(colliding), Counter(colliding)):
        with pytest.raises(MalformedFrame, match="same hash"):
            read_value(encode(value))
    assert hashable([1, 1.0, True]) == [1, 1.0, True]
