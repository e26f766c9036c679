"""What a hostile value may cost the host: no operator of an assert is a way to keep it busy, or to fill its memory."""

from __future__ import annotations

import ast
from collections import deque
from typing import Any

import pytest

from sandbox.expressions import Failed, prepare

COSTLY: list[tuple[str, dict[str, Any]]] = [
    ("'x' in a", {"a": range(10**15)}),
    ("'x' not in a", {"a": range(10**15)}),
    ("0.5 in range(10 ** 15)", {}),
    ("a % 3", {"a": bytearray(b"%8000000000d")}),
    ("a * b", {"a": bytearray(1_000), "b": 10**10}),
    ("a * b", {"a": deque([1] * 1_000), "b": 10**10}),
    ("math.gcd(a, b)", {"a": (1 << 8_000_000) + 1, "b": (1 << 8_000_000) + 3}),
    ("math.isqrt(a)", {"a": 1 << 20_000_000}),
    ("math.lcm(a, 7)", {"a": 1 << 20_000_000}),
]


@pytest.mark.parametrize(("text", "names"), COSTLY, ids=[text for text, _ in COSTLY])
@pytest.mark.timeout(20)
def test_what_would_take_for_ever_is_refused_at_once(text: str, names: dict[str, Any]) -> None:
    with pytest.raises(Failed):
        prepare(ast.parse(text, mode="eval").body, names, {"math": "math"}).value(names)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5 in range(10 ** 15)", True), ("-1 not in range(10 ** 15)", True), ("2.0 in range(5)", True),
     ("math.gcd(12, 18)", 6), ("math.isqrt(17)", 4), ("math.lcm(4, 6)", 12)],
)  # fmt: skip
def test_what_is_cheap_works(text: str, value: Any) -> None:
    assert prepare(ast.parse(text, mode="eval").body, (), {"math": "math"}).value({}) == value


def test_a_copy_is_another_object() -> None:
    for how in ("copy", "deepcopy"):
        thunk = prepare(ast.parse(f"copy.{how}(a)", mode="eval").body, {"a"}, {"copy": "copy"})
        given = [[1]]
        made = thunk.value({"a": given})
        assert made == given and made is not given and (made[0] is given[0]) is (how == "copy")
