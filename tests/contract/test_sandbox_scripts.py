"""Assert scripts that cannot be taken apart: judged apart from the program, in turns, or called weak."""

from __future__ import annotations

import pytest

from sandbox.errors import InvalidCheck
from sandbox.types import AssertCheck, Outcome, Sandbox
from tests.support.sandboxes import judge

pytestmark = pytest.mark.anyio

DOUBLE = "def f(x):\n    return x * 2\n"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


NODES = """\
class Node:
    def __init__(self, val, next=None):
        self.val = val
        self.next = next

def nodes(values):
    head = None
    for value in reversed(values):
        head = Node(value, head)
    return head

def same(one, other):
    while one and other and one.val == other.val:
        one, other = one.next, other.next
    return one is other
"""
STACK = (
    "class S:\n    def __init__(self):\n        self.v = []\n    def push(self, x):\n        self.v.append(x)\n        "
)
REVERSE = (
    "def f(head):\n    last = None\n    while head:\n        head.next, last, head = last, head, head.next\n    return "
)
POINT = """\
class P:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return self.x == other.x
    def __lt__(self, other):
        return self.x < other.x
    def __hash__(self):
        return hash(self.x)
    def __len__(self):
        return self.x
    def __str__(self):
        return f"P{self.x}"
def some(n):
    return """
SEED = "import random\nn = random.randint(0, 9)\n"  # keeps a script from being taken apart

# (the script, a right program, a wrong one)
SCRIPTS = {
    "random inputs": (
        SEED + "for _ in range(50):\n    n = random.randint(0, 9)\n    assert f(n) == 2 * n",
        DOUBLE,
        "def f(x):\n    return 2 * x if x < 9 else 0",
    ),
    "a reference in the script": (
        "def ref(x):\n    return x + x\nassert f(3) == ref(3)",
        DOUBLE,
        "def f(x):\n    return 7",
    ),
    "answers lead to further calls": (
        SEED + "x = 1\nwhile x < 100:\n    x = f(x)\nassert x == 128",
        DOUBLE,
        "def f(x):\n    return 3 * x",
    ),
    "calls inside a helper": (
        SEED + "def both(a, b):\n    return [f(a), f(b)]\nassert both(1, 2) == [2, 4]\nassert both(3, 4)[1] == 8",
        DOUBLE,
        "def f(x):\n    return 2 * x if x < 4 else 0",
    ),
    "exceptions": (
        "import pytest\nwith pytest.raises(ValueError, match='bad .*') as caught:\n    f(-1)\n"
        "assert '-1' in str(caught.value)",
        "def f(x):\n    raise ValueError(f'bad {x}')",
        "def f(x):\n    raise ValueError('worse')",
    ),
    "an exception of the program": (
        SEED
        + "try:\n    f(1)\nexcept LookupError as e:\n    assert type(e).__name__ == 'Mine'\nelse:\n    assert False",
        "class Mine(KeyError):\n    pass\ndef f(x):\n    raise Mine(x)",
        "def f(x):\n    raise KeyError(x)",
    ),
    "approx": (
        "import pytest\nassert f(2) == pytest.approx([4.0])",
        "def f(x):\n    return [4.0 + 1e-9]",
        "def f(x):\n    return [4.1]",
    ),
    "unittest": (
        "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        self.assertEqual(f(2), 4)\n"
        "        with self.assertRaises(TypeError):\n            f(None)\n",
        DOUBLE,
        "def f(x):\n    return 4",
    ),
    "objects of the program": (
        SEED
        + "s = S()\nfor i in range(3):\n    s.push(i)\nassert s.pop() == 2\nassert s.v == [0, 1]\nassert len(s.v) == 2",
        STACK + "\n    def pop(self):\n        return self.v.pop()",
        STACK + "\n    def pop(self):\n        return self.v.pop(0)",
    ),
    "objects of the script": (
        NODES
        + "assert same(f(nodes([1, 2, 3])), nodes([3, 2, 1]))\n"
        "assert same(f(nodes(range(150))), nodes(range(150)[::-1]))",
        NODES + REVERSE + "last",
        NODES + REVERSE + "head",
    ),
    "objects of the program, compared": (
        SEED + "a, b = P(1), P(2)\nassert a == P(1) and a != b\nassert len(b) == 2 and str(a) == 'P1'\n"
        "assert isinstance(a, P) and not isinstance(3, P)\nassert len({a, b, P(1)}) == 2\n"
        "assert [p.x for p in sorted([b, a])] == [1, 2]\nassert a is not None and a != None",
        POINT + "[]",
        POINT.replace("self.x = x", "self.x = 1") + "[]",
    ),
    "objects of the program, in a list": (
        SEED + "found = some(3)\nassert len(found) == 3 and found[1].x == 1\nassert [p.x for p in found] == [0, 1, 2]\n"
        "for p in found:\n    assert p.x < 3",
        POINT + "[P(x) for x in range(n)]",
        POINT + "[P(1) for x in range(n)]",
    ),
    "attributes that the script sets": (
        SEED + "p = P(1)\np.x = 5\nassert p.x == 5 and str(p) == 'P5'",
        POINT + "[]",
        POINT.replace("P{self.x}", "P1") + "[]",
    ),
    "sets in any order": (
        SEED + "for word in {'a', 'b', 'c', 'd'}:\n    assert f(word) == 2 * word",
        DOUBLE,
        "def f(x):\n    return 'aa'",
    ),
    "test functions": (
        "import pytest\ndef test_one():\n    assert f(2) == 4\ndef test_two():\n"
        "    with pytest.raises(TypeError, match=''):\n"
        "        f(None)",
        DOUBLE,
        "def f(x):\n    return 4",
    ),
    "state": (
        SEED + "assert f(1) == 1\nassert f(1) == 2",
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
        "def f(x):\n    return 1",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_script_that_cannot_be_taken_apart(sandbox: Sandbox, name: str) -> None:
    code, right, wrong = SCRIPTS[name]
    verdict = await judge(sandbox, right, AssertCheck(code=code))
    assert verdict.passed, verdict
    assert verdict.integrity == "strong"
    verdict = await judge(sandbox, wrong, AssertCheck(code=code))
    assert verdict.outcome in (Outcome.FAIL, Outcome.ERROR), verdict
    assert verdict.integrity == "strong"


FORGERIES = {
    "helpers defined anew": NODES + REVERSE + "head\nsame = lambda one, other: True",
    "equal to all": "class Node:\n    __eq__ = lambda s, o: True\n    val = next = None\ndef f(x):\n    return Node()",
    "exits": "import sys\ndef f(x):\n    sys.exit('')",
    "exits at once": "import os\nos._exit(0)",
    "raises an exit": "class E(SystemExit):\n    pass\ndef f(x):\n    raise E",
    "raises what the judge uses": "class Unknown(BaseException):\n    pass\ndef f(x):\n    raise Unknown",
    "a judge's frame": "import os\ndef f(x):\n    for fd in range(64):\n        try:\n"
    "            os.write(fd, b'\\x10\\0\\0\\0t\\1\\0\\0\\0s\\6\\0\\0\\0passed')\n"
    "        except OSError:\n            pass",
    "an endless list": "class Node:\n    pass\ndef f(x):\n    n = Node()\n    n.val = 3\n    n.next = n\n    return n",
    "odd attributes": "class Node:\n    pass\ndef f(x):\n    n = Node()\n"
    "    n.__dict__['__class__'] = n.val = 3\n    return n",
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_judge_apart_cannot_be_fooled(sandbox: Sandbox, name: str) -> None:
    check = AssertCheck(code=SCRIPTS["objects of the script"][0])
    verdict = await judge(sandbox, FORGERIES[name], check)
    assert not verdict.passed
    assert (await judge(sandbox, NODES + REVERSE + "last", check)).passed


YES = """\
class Yes:
    def __init__(self, *args, **named): pass
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __add__ = __radd__ = __sub__ = __rsub__ = __mod__ = __abs__ = lambda self, *other: 0
    __bool__ = startswith = issubset = __instancecheck__ = lambda self, *other: True
    __hash__ = __index__ = __int__ = __len__ = lambda self: 4
    __iter__ = lambda self: iter([Yes(), Yes()])
    __getitem__ = __getattr__ = __call__ = lambda self, *args: Yes()
P = S = Yes
f = some = lambda *args: Yes()
"""


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("wrapped", ["Yes()", "[Yes(), Yes()]"])
async def test_an_object_that_equals_everything_passes_no_script(sandbox: Sandbox, name: str, wrapped: str) -> None:
    """Nor does it bring about a weak judgement, where it would be beside the script."""
    verdict = await judge(sandbox, YES + f"f = some = lambda *args: {wrapped}\n", AssertCheck(code=SCRIPTS[name][0]))
    assert not verdict.passed
    assert verdict.integrity == "strong"


ENDINGS = {
    "the end of an iteration": (
        "def one(x):\n    return f(x) == 2 * x\nassert all(map(one, [1, 2]))",
        "def f(x):\n    raise StopIteration",
        Outcome.ERROR,
    ),
    "one more question, for ever": (
        SEED + "x = 1\nwhile x < 100:\n    x = f(x)\nassert x == 128",
        "def f(x):\n    return 1",
        Outcome.NO_VERDICT,
    ),
    "an argument that is too large": (
        SEED + "assert f([f(1)] * 1_000) == 4",
        "def f(x):\n    return 4 if type(x) is list else 'x' * 100_000",
        Outcome.FAIL,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_program_cannot_choose_how_it_is_judged(sandbox: Sandbox, name: str) -> None:
    code, source, outcome = ENDINGS[name]
    verdict = await judge(sandbox, source, AssertCheck(code=code))
    assert (verdict.outcome, verdict.integrity) == (outcome, "strong"), verdict


async def test_what_must_run_beside_the_program_is_called_weak(sandbox: Sandbox) -> None:
    check = AssertCheck(code=SEED + "calls = []\ndef note(x):\n    calls.append(x)\nf(note)\nassert calls == [1]")
    verdict = await judge(sandbox, "def f(g):\n    g(1)", check)
    assert verdict.passed
    assert verdict.integrity == "weak"
    assert verdict.checks[0].integrity == "weak"
    assert (await judge(sandbox, "def f(g):\n    g(2)", check)).outcome is Outcome.FAIL


async def test_scripts_that_never_call_the_program_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidCheck, match="never calls"):
        await judge(sandbox, DOUBLE, AssertCheck(code=SEED + "assert n >= 0"))
