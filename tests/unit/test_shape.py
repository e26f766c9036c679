"""Names that a program chose do not matter; what it does with them does."""

from __future__ import annotations

import ast

import pytest

from atlas.shape import expressions, shape, trigrams

SAME = {
    "variables": ("x = 1\ny = x + x", "a = 1\nb = a + a"),
    "parameters and annotations": ("def f(a: int) -> int:\n    return a", "def g(n):\n    return n"),
    "docstrings": ("def f():\n    'Says.'\n    return 1", "def f():\n    return 1"),
    "a function that only says": ("def f():\n    'Says.'", "def g():\n    pass"),
    "classes": ("class A:\n    def m(self):\n        return A", "class B:\n    def m(me):\n        return B"),
    "async": ("async def f(x):\n    await x", "async def g(y):\n    await y"),
    "imports": ("import numpy as np\nnp.sum(1)", "import numpy\nnumpy.sum(1)"),
    "where the import stands": (
        "import math\ndef f():\n    return math.e", "def f():\n    import math\n    return math.e",
    ),
    "global names": ("x = 1\ndef f():\n    global x", "y = 1\ndef f():\n    global y"),
    "caught errors": ("try:\n    f()\nexcept E as e:\n    print(e)", "try:\n    f()\nexcept E as x:\n    print(x)"),
    "declared types": ("x: int = 1", "x = 1"),
}
OTHER = {
    "which name": ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"),
    "builtins": ("x = max(y)", "x = min(y)"),
    "imported functions": ("from math import sin\nsin(1)", "from math import cos\ncos(1)"),
    "constants": ("x = 1", "x = 2"),
    "methods": ("x.upper()", "x.lower()"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_matter(name: str) -> None:
    one, other = (ast.parse(source) for source in SAME[name])
    before = ast.dump(one)
    assert shape(one) == shape(other) is not None
    assert ast.dump(one) == before


@pytest.mark.parametrize("name", OTHER)
def test_what_matters(name: str) -> None:
    one, other = (shape(ast.parse(source)) for source in OTHER[name])
    assert one is not None and other is not None and one != other


def test_a_tree_that_is_too_deep_has_no_shape() -> None:
    node: ast.expr = ast.Constant(1)
    for _ in range(20_000):
        node = ast.UnaryOp(op=ast.USub(), operand=node)
    assert shape(ast.Module(body=[ast.Expr(node)], type_ignores=[])) is None


def parts(source: str) -> frozenset[bytes]:
    form = shape(ast.parse(source))
    assert form is not None
    return expressions(form)


def test_expressions_are_counted_once_with_all_own_names_alike() -> None:
    assert len(parts("x = 1")) == 2  # a name, and 1
    assert parts("x = 1") == parts("def f(y):\n    if y:\n        z = 1")
    assert len(parts("a * b + c * d")) == 3  # a name, a product, a sum
    assert parts("a * b") < parts("a * b + c * d")


@pytest.mark.parametrize("name", OTHER.keys() - {"which name"})
def test_expressions_tell_apart_what_shapes_tell_apart_but_for_own_names(name: str) -> None:
    one, other = OTHER[name]
    assert parts(one) != parts(other)


def test_an_expression_does_not_run_into_the_next() -> None:
    assert parts("f('a', 'b')") != parts("f('a\\', \\'b')") and parts("x = [a, [a]]") != parts("x = [[a, a]]")
    assert parts("x.f(y)") != parts("y(x.f)") and parts("x[1:]") != parts("x[:1]") and parts("-x") != parts("not x")


@pytest.mark.parametrize("deep", ["x = {}1", "x = a{}"])
def test_whatever_has_a_shape_has_expressions(deep: str) -> None:
    tried = [(n, deep.format(("-" if "1" in deep else ".b") * n)) for n in range(1, 1000, 9)]
    shaped = [(n, source) for n, source in tried if shape(ast.parse(source)) is not None]
    assert len(shaped) > 20
    for n, source in shaped:
        assert len(parts(source)) >= n


def test_trigrams_know_the_beginning_and_the_end() -> None:
    assert trigrams("x = 1") == {("", "x", "="), ("x", "=", "1"), ("=", "1", "")}
    assert trigrams("") == frozenset()
