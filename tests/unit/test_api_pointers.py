"""From a validator's locations to JSON pointers."""

from __future__ import annotations

import pytest

from api.pointers import pointer

BODY = {
    "prompt": 3,
    "checks": ["f", {"kind": "call", "call": {"deep": 1}}, {"kind": "stdio", "call": 1}],
    "labels": {"a/b": 1, "~": 2},
}


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        (("body",), ""),
        (("body", "prompt"), "/prompt"),
        (("body", "missing"), "/missing"),
        (("body", "labels", "a/b"), "/labels/a~1b"),
        (("body", "labels", "~"), "/labels/~0"),
        (("body", "checks", 0, "text"), "/checks/0"),
        (("body", "checks", 1, "call", "expected"), "/checks/1/expected"),
        (("body", "checks", 1, "call", "call"), "/checks/1/call"),
        (("body", "checks", 2, "stdio", "call"), "/checks/2/call"),
        (("body", "checks", 9, "call", "call"), "/checks/9"),
        (("query", "limit"), "#limit"),
        (("header", "prefer"), "#prefer"),
    ],
)
def test_pointer(loc: tuple[int | str, ...], expected: str) -> None:
    assert pointer(loc, BODY) == expected
