"""Taking assert scripts apart: what goes to the guest, what the host decides, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import InvalidCheck
from sandbox.expressions import Failed
from sandbox.names import NotPure
from sandbox.placing import DO, GET, TRY
from sandbox.rewrite import Script, rewrite
from sandbox.script import outline, with_helpers


def asked(script: Script) -> list[str]:
    """Expressions whose values the guest is asked for."""
    return [text for op, text in script.ops if op != DO]


def verdicts(script: Script, values: list[Any]) -> list[bool]:
    """What the host decides for each assert, given the guest's values."""
    found = []
    for assertion in script.asserts:
        assert assertion.test is not None
        try:
            found.append(bool(assertion.test.value(assertion.known(values))))
        except Failed:
            found.append(False)
    return found


# (one assert, what the guest is asked, values that satisfy it, values that do not)
ASSERTS: list[tuple[str, list[str], list[Any], list[Any]]] = [
    ("f(2) == 4", ["f(2)"], [4], [5]),
    ("4 == f(2)", ["f(2)"], [4], [5]),
    ("f(2) != 4", ["f(2)"], [5], [4]),
    ("f(2) is None", ["f(2)"], [None], [0]),
    ("f(2) is not None", ["f(2)"], [0], [None]),
    ("f(2) is True", ["f(2)"], [True], [1]),
    ("f(2)", ["f(2)"], [[0]], [[]]),
    ("not f(2)", ["f(2)"], [""], ["x"]),
    ("f(2) in (4, 5)", ["f(2)"], [5], [6]),
    ("4 in f(2)", ["f(2)"], [[4]], [[5]]),
    ("f(2) not in [4]", ["f(2)"], [5], [4]),
    ("f(2) < 5", ["f(2)"], [4], [5]),
    ("0 < f(2) <= 5", ["f(2)"], [5], [0]),
    ("abs(f(2) - 0.3) < 1e-6", ["f(2)"], [0.1 + 0.2], [0.31]),
    ("math.isclose(f(2), 0.3, rel_tol=0.01)", ["f(2)"], [0.3], [0.31]),
    ("round(f(2), 1) == 0.3", ["f(2)"], [0.31], [0.41]),
    ("isinstance(f(2), (int, str))", ["f(2)"], [True], [1.0]),
    ("type(f(2)) == list", ["f(2)"], [[]], [()]),
    ("type(f(2)) is int", ["f(2)"], [1], [True]),
    ("sorted(f(2)) == [1, 2]", ["f(2)"], [{2, 1}], [[2]]),
    ("set(f(2)) == set([1, 2])", ["f(2)"], [[2, 1, 1]], [[2]]),
    ("len(f(2)) == 2", ["f(2)"], ["ab"], [3]),
    ("list(map(str, f(2))) == ['1', '2']", ["f(2)"], [(1, 2)], [(2, 1)]),
    ("f(2)[0] == 1", ["f(2)"], [[1]], [[]]),
    ("f(2)['a'][1:] == [2]", ["f(2)"], [{"a": [1, 2]}], [{}]),
    ("f(2).strip().lower() == 'a'", ["f(2)"], [" A "], ["b"]),
    ("f(2).startswith('a')", ["f(2)"], ["ab"], ["b"]),
    ("f(2).get('a') == 1", ["f(2)"], [{"a": 1}], [[]]),
    ("all(x > 0 for x in f(2))", ["f(2)"], [[1]], [[0]]),
    ("any(x == 1 for x in f(2))", ["f(2)"], [[0, 1]], [[0]]),
    ("[x * 2 for x in f(2)] == [2]", ["f(2)"], [[1]], [[2]]),
    ("f(1) == f(2)", ["f(1)", "f(2)"], [4, 4], [4, 5]),
    ("f(g(2)) == 4", ["f(g(2))"], [4], [5]),
    ("f(2)(3) == 4", ["f(2)(3)"], [4], [5]),
    ("f(x=[1] * 2, *[3]) == 4", ["f(*[3], x=[1] * 2)"], [4], [5]),
    ("Solution().two_sum([1], 2) == [0]", ["Solution().two_sum([1], 2)"], [[0]], [[1]]),
    ("f(2) == 4 or f(2) == 5", ["f(2)", "f(2)"], [1, 5], [1, 1]),
    ("f(2) == (4 if True else 5)", ["f(2)"], [4], [5]),
    ("all(f(x) == 2 * x for x in range(3))", ["f(x)", "f(x)", "f(x)"], [0, 2, 4], [0, 2, 5]),
    ("all([f(x) == y for x, y in [(1, 2), (2, 3)]])", ["f(x)", "f(x)"], [2, 3], [3, 2]),
    ("{f(x) for x in 'ab'} == {1}", ["f(x)", "f(x)"], [1, 1], [1, 2]),
    ("f(lambda x: x + 1) == 4", ["f(lambda x: x + 1)"], [4], [5]),
    ("f(sorted([2, 1])) == 4", ["f(sorted([2, 1]))"], [4], [5]),
    ("f(2) == Counter('aab')", ["f(2)"], [{"a": 2, "b": 1}], [{"a": 2}]),
    ("LIMIT == 5", ["LIMIT"], [5], [6]),
    ("config.size == 5", ["config.size"], [5], [6]),
    ("f(2) == float('inf')", ["f(2)"], [float("inf")], [1]),
    ("'-'.join(f(2)) == 'a-b'", ["f(2)"], [["a", "b"]], [["a"]]),
]


@pytest.mark.parametrize(("text", "wanted", "right", "wrong"), ASSERTS, ids=[row[0] for row in ASSERTS])
def test_one_assert(text: str, wanted: list[str], right: list[Any], wrong: list[Any]) -> None:
    script = rewrite(f"import math\nfrom collections import Counter\nassert {text}, 'a message'")
    assert asked(script) == wanted
    assert verdicts(script, right) == [True]
    assert verdicts(script, wrong) == [False]


def test_and_makes_two_asserts() -> None:
    script = rewrite("assert f(1) == 1 and f(2) == 2")
    assert verdicts(script, [1, 3]) == [True, False]


def test_expected_values_never_go_to_the_guest() -> None:
    code = (
        "answers = {1: 'canary-a'}\nwant = 'canary-b'\ndata = [(3, 'canary-c')]\n"
        "def check(candidate, last='canary-d'):\n"
        "    assert candidate(1) == answers[1]\n    assert candidate(2) == want\n"
        "    for n, expected in data:\n        assert candidate(n) == expected\n"
        "    assert candidate(4) == last\n    assert candidate(5) in {'canary-e': 1}\n"
        "    assert len(candidate(6)) == len('canary-f'), 'canary-g'\ncheck(f)\n"
    )
    script = rewrite(code)
    assert len(asked(script)) == 6
    assert not [text for _, text in script.ops if "canary" in text]


def test_known_values_are_given_where_they_are_needed() -> None:
    script = rewrite("n = 3\nwords = ['a'] * n\nother = 5\nassert f(words, n) == 1\nassert f(words) == n")
    assert script.ops == ((DO, "n = 3"), (DO, "words = ['a', 'a', 'a']"), (GET, "f(words, n)"), (GET, "f(words)"))
    assert verdicts(script, [1, 3]) == [True, True]


def test_loops_are_unrolled() -> None:
    code = "for x in range(2):\n    for y in 'ab':\n        assert f(x, y) == y * x\nelse:\n    assert f(9, 9) == 9"
    script = rewrite(code)
    assert verdicts(script, ["", "", "a", "b", 9]) == [True] * 5
    assert (DO, "x = 1") in script.ops


def test_a_value_of_a_loop_does_not_leak_into_later_turns() -> None:
    script = rewrite("assert all(f(x) == x for x in [1, 2])\nx = 7\nassert f(x) == 7")
    assert verdicts(script, [1, 2, 7]) == [True, True]
    assert verdicts(script, [1, 1, 7]) == [False, True]


def test_results_live_in_the_guest() -> None:
    script = rewrite("r = f(2)\nassert r == 4\nassert r[0] == 1\nassert len(r) == 2")
    assert script.ops == ((DO, "r = f(2)"), (GET, "r"), (GET, "r"), (GET, "r"))


def test_objects_live_in_the_guest_in_order() -> None:
    code = "s = Stack()\ns.push(1)\nassert s.pop() == 1\nassert s.empty()\ns.size = 3\nassert s.size == 3"
    script = rewrite(code)
    assert [text for _, text in script.ops] == [
        "s = Stack()", "s.push(1)", "s.pop()", "s.empty()", "s.size = 3", "s.size",
    ]  # fmt: skip


def test_arguments_changed_in_place_are_read_back() -> None:
    script = rewrite("a = [3, 1]\nf(a)\nassert a == [1, 3]")
    assert script.ops == ((DO, "a = [3, 1]"), (DO, "f(a)"), (GET, "a"))
    script = rewrite("a = [3, 1]\nassert f(a) is None\nassert a == [3, 1]")
    assert asked(script) == ["f(a)", "a"]
    assert verdicts(script, [None, [1, 3]]) == [True, False]


def test_what_the_test_compares_with_is_not_what_the_program_changed() -> None:
    script = rewrite("a = [3, 1]\nassert f(a) == sorted(a)")
    assert asked(script) == ["f(a)"]
    assert verdicts(script, [[]]) == [False]


def test_exceptions() -> None:
    for code in (
        "with pytest.raises(ValueError):\n    f(2)",
        "from pytest import raises\nwith raises((ValueError, KeyError)):\n    x = f(2)",
        "try:\n    f(2)\n    assert False\nexcept ValueError:\n    pass",
        "try:\n    f(2)\nexcept ValueError:\n    assert True\nelse:\n    assert False, 'no'",
        "try:\n    f(2)\n    raise AssertionError('no')\nexcept ValueError as error:\n    pass",
    ):
        script = rewrite(code)
        assert [op for op, _ in script.ops] == [TRY]
        assert "ValueError" in script.asserts[0].raises


def test_human_eval_form() -> None:
    code = (
        "METADATA = {}\n\ndef check(candidate):\n    '''doc'''\n    assert True, 'x'\n    print('x')\n"
        "    lst = list(range(3))\n    assert candidate(lst) == sum([i ** 2 for i in lst])\n"
        "    assert tuple(candidate([1])) == (1,)\n    return True\n\ncheck(entry)\n"
    )
    script = rewrite(code)
    assert asked(script) == ["entry(lst)", "entry([1])"]
    assert verdicts(script, [5, [1]]) == [True, True]


def test_a_method_as_candidate() -> None:
    script = rewrite("def check(candidate):\n    assert candidate(x=1) == 2\ncheck(Solution().f)")
    assert script.ops == ((DO, "candidate = Solution().f"), (GET, "candidate(x=1)"))


def test_setup_code_with_objects_of_the_program() -> None:
    script = rewrite("root = Node(1)\nroot.left = Node(2)\nassert height(root) == 2")
    assert [text for _, text in script.ops] == ["root = Node(1)", "root.left = Node(2)", "height(root)"]


def test_test_functions_are_called() -> None:
    code = "from solution import f\n\ndef test_a():\n    assert f(1) == 1\n\ndef test_b():\n    assert f(2) == 2\n"
    script = rewrite(code)
    assert asked(script) == ["f(1)", "f(2)"]
    assert len(rewrite("def test_a():\n    assert f(1) == 1\ntest_a()").asserts) == 1


def test_a_main_guard_is_followed() -> None:
    assert asked(rewrite("if __name__ == '__main__':\n    assert f(1) == 1")) == ["f(1)"]


def test_a_function_named_like_a_built_in_one() -> None:
    script = rewrite("assert sum(10, 15) == 6\nassert sum(100, 150) == 93")
    assert asked(script) == ["sum(10, 15)", "sum(100, 150)"]
    assert asked(rewrite("assert sum(f(1)) == 6")) == ["f(1)"]
    assert asked(rewrite("def check(c):\n    assert c(1) == abs(-1)\ncheck(max)")) == ["max(1)"]


def test_an_assert_that_is_false_by_itself_fails() -> None:
    script = rewrite("assert f(1) == 1\nassert 1 == 2")
    assert verdicts(script, [1]) == [True, False]


def test_a_module_is_the_tests_own_even_if_it_forgot_to_import_it() -> None:
    script = rewrite("assert math.isclose(f(1), 1.0)")
    assert asked(script) == ["f(1)"]
    with pytest.raises(NotPure):
        rewrite("assert size((1,)) == sys.getsizeof((1,))")


def test_no_name_of_a_script_stands_in_for_a_value() -> None:
    script = rewrite("value0 = 5\nx__1 = 6\n_r0 = 7\nassert f(1) == value0\nassert all(f(x) == x__1 for x in [1])")
    assert verdicts(script, [5, 6]) == [True, True]
    assert verdicts(script, [4, 4]) == [False, False]


def test_methods_that_say_yes_or_no_are_never_left_to_the_program() -> None:
    assert asked(rewrite("assert Find(1).startswith('a')")) == ["Find(1)"]
    assert asked(rewrite("r = Find(1)\nassert r.isdigit()")) == ["r"]
    assert asked(rewrite("c = Cache(2)\nassert c.get(1) == -1")) == ["c.get(1)"]


NOT_PURE = {
    "a second name": "a = [1]\nb = a\nb.append(2)\nassert f(1) == a",
    "a part of another value": "row = [1]\ngrid = [row, row]\nrow.append(2)\nassert f(1) == grid",
    "adding in place": "a = [1]\nb = a\na += [2]\nassert f(1) == b",
    "dunder methods": "assert f(2).__eq__(4)",
    "too many calls": "for i in range(3000):\n    assert f(i) == f(i + 1)",
    "too much to send": "\n".join(f"a{i} = [0] * 99_999\nassert f(a{i}) == 0" for i in range(50)),
    "random": "import random\nn = random.randint(0, 9)\nassert f(n) == n",
    "a loop over results": "for x in f(2):\n    assert x == 1",
    "a branch on results": "if f(2):\n    assert f(3) == 1",
    "while": "n = 0\nwhile n < 3:\n    n += 1\n    assert f(n) == n",
    "a function of the script": "def ok(x):\n    return f(x) == 4\nassert ok(2)",
    "a reference": "def ref(x):\n    return 2 * x\nassert f(3) == ref(3)",
    "a class": "class A:\n    pass\nassert f(A()) == 1",
    "a long loop": "for x in range(100000):\n    assert f(x) == x",
    "the exception's text": "with pytest.raises(ValueError) as e:\n    f(2)\nassert 'x' in str(e.value)",
    "match": "with pytest.raises(ValueError, match='x'):\n    f(2)",
    "with": "with open('x') as file:\n    assert f(file) == 1",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(1), 1)",
    "unknown built-in": "assert hash(f(2)) == hash(4)",
    "class of the program": "assert isinstance(f(2), Node)",
    "del": "x = 1\ndel x\nassert f(2) == 1",
    "async": "async def one():\n    assert f(1) == 1",
    "lambda": "assert list(map(lambda x: f(x), [1])) == [1]",
    "a guarded call": "try:\n    f(2)\nexcept ValueError:\n    pass\nassert f(3) == 1",
    "recursion": "def t(n):\n    t(n)\nt(1)\nassert f(1) == 1",
}


@pytest.mark.parametrize("name", NOT_PURE)
def test_what_cannot_be_taken_apart(name: str) -> None:
    with pytest.raises(NotPure):
        rewrite(NOT_PURE[name])


@pytest.mark.parametrize("code", ["assert f(", "assert (f(1) == 1, 'always true')", "\0", "(" * 5_000])
def test_scripts_that_make_no_sense_are_refused(code: str) -> None:
    with pytest.raises(InvalidCheck):
        rewrite(code)


def test_methods_of_results_are_the_hosts_business() -> None:
    """A subclass of str could answer anything to startswith; the value has to travel as plain data first."""
    script = rewrite("assert f(2).startswith('a')\nassert f(2).count(1) == 1\nassert f(2).custom() == 1")
    assert asked(script) == ["f(2)", "f(2)", "f(2).custom()"]


def test_helpers() -> None:
    code = "def check(candidate):\n    x = encode('a')\n    assert abs(poly(candidate(x))) < 1e-4\ncheck(decode)"
    assert outline(code).helpers == {"encode", "poly"}
    prompt = (
        "import math\n\ndef poly(x):\n    return math.sqrt(x)\n\ndef encode(s):\n    return s\n\n"
        "def decode(s):\n    '''?'''\n"
    )
    whole = with_helpers(code, prompt)
    assert outline(whole).helpers == frozenset()
    assert "def decode" not in whole
    assert outline("assert decode(encode('a')) == 'a'").helpers == frozenset()
    assert with_helpers("assert f(1) == 1", "not python at all") == "assert f(1) == 1"


def test_star_imports_bind_what_they_bind() -> None:
    imports = "from math import *\nfrom typing import *\nfrom operator import *\n"
    code = imports + "def check(c):\n    assert abs(c(1)) == inf\ncheck(f)"
    assert outline(code).helpers == frozenset()
    assert verdicts(rewrite(code), [float("-inf")]) == [True]


BESIDE = {
    "a comparison on its way to a variable": "ok = f(2) == 4\nassert ok",
    "a comparison in a tuple": "ok, n = f(2) == 4, 1\nassert ok",
    "a comparison with an annotation": "ok: bool = f(2) == 4\nassert ok",
    "a comparison as an argument": "def check(ok):\n    assert ok\ncheck(f(2) == 4)",
    "a comparison that is counted": "n = 0\nfor x, y in [(1, 2), (2, 4)]:\n    n += f(x) == y\nassert n == 2",
    "a comparison given to the program": "assert f(f(2) == 4)",
    "all of some comparisons": "ok = all(f(x) == y for x, y in [(1, 2), (2, 4)])\nassert ok",
    "a closeness": "import math\nok = math.isclose(f(2), 4.5)\nassert ok",
    "a difference": "d = f(2)\nd -= 4\nassert d == 0",
    "something printed": "print(f(2), 4)\nassert f(2) == 4",
    "a wanted list that is made step by step": "wanted = [1]\nwanted.append(4)\nassert f(2) == wanted",
    "a wanted list that is changed": "wanted = [1, 2]\nwanted[1] = 4\nassert f(2) == wanted",
    "results that are collected": "found = []\nfound.append(f(2))\nassert found == [4]",
}


@pytest.mark.parametrize("name", BESIDE)
def test_nothing_that_judges_runs_beside_the_program(name: str) -> None:
    with pytest.raises(NotPure):
        rewrite(BESIDE[name])


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("case = {'in': 2, 'out': 'canary'}\nassert f(case['in']) == case['out']", ["f(2)"]),
        ("for case in [([2], 'canary'), ([3], 'canary')]:\n    assert f(*case[0]) == case[1]", ["f(*[2])", "f(*[3])"]),
        ("cases = [(2, 'canary')]\nassert f(max(cases[0][0], 1), x=[cases[0][0]]) == cases[0][1]", ["f(2, x=[2])"]),
        ("d = {4: 'canary'}\nassert d[f(2)] == 'canary'", ["f(2)"]),
    ],
)
def test_of_a_case_only_the_input_is_sent(code: str, wanted: list[str]) -> None:
    script = rewrite(code)
    assert asked(script) == wanted
    assert "canary" not in str(script.ops)


def test_a_part_that_may_be_changed_in_place_is_not_sent_as_a_copy() -> None:
    with pytest.raises(NotPure, match="a part of something"):
        rewrite("data = [[3, 1]]\nf(data[0])\nassert data[0] == [1, 3]")
