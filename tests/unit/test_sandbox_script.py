"""Assert scripts read as a whole: the helpers that they bring along."""

from sandbox.script import with_helpers


def test_helpers_bring_the_helpers_that_they_need_and_never_what_is_tested() -> None:
    code = "def check(f):\n    assert same(f(1), made(2))\n\ncheck(double)\n"
    definitions = """class Node: pass
def made(x): return Node()
def same(a, b): return a == b or double(a) == b
def double(x): return 2 * x
def other(): pass
"""
    whole = with_helpers(code, definitions)
    assert "class Node" in whole and "def made" in whole and "def same" in whole
    assert "def double" not in whole and "def other" not in whole
