"""What every sandbox promises. Run over WebAssembly and Docker; a new implementation joins by one more opener."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from sandbox.errors import InvalidCheck, SandboxError
from sandbox.types import AssertCheck, Check, Limits, Outcome, Program, Sandbox, StdioCheck, Verdict
from tests.support.sandboxes import QUICK, call, judge

pytestmark = pytest.mark.anyio
SHORT = Limits(wall_s=1, cpu_s=10)

PASS, FAIL, ERROR, SYNTAX = Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.SYNTAX
TIMEOUT, OOM, OUTPUT_LIMIT, CRASH = Outcome.TIMEOUT, Outcome.OOM, Outcome.OUTPUT_LIMIT, Outcome.CRASH
NO_VERDICT, TAMPERED = Outcome.NO_VERDICT, Outcome.TAMPERED


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


DOUBLE = "def f(x):\n    return x * 2\n"
F = call("f(2)", "4")

CASES: dict[str, tuple[str, Check, Outcome | tuple[Outcome, ...]]] = {
    "right": (DOUBLE, F, PASS),
    "wrong": ("def f(x):\n    return x * 3", F, FAIL),
    "nothing": ("def f(x):\n    x * 2", F, FAIL),
    "exception": ("def f(x):\n    return x / 0", F, ERROR),
    "exception at import": ("1 / 0", F, ERROR),
    "missing function": ("def g(x):\n    return 4", F, ERROR),
    "missing module": ("import numpy_of_nobody\ndef f(x):\n    return 4", F, ERROR),
    "syntax": ("def f(x:\n    return 4", F, SYNTAX),
    "syntax: null byte": ("def f(x):\n    return 4\0", F, SYNTAX),
    "syntax: nested": ("x = " + "(" * 5_000 + ")" * 5_000, F, SYNTAX),
    "syntax raised while running": ("def f(x):\n    eval('1 +')", F, ERROR),
    "empty": ("", F, ERROR),
    "exit at import": ("import sys\nsys.exit(0)", F, NO_VERDICT),
    "exit in f": ("import sys\ndef f(x):\n    sys.exit(0)", F, NO_VERDICT),
    "_exit at import": ("import os\nos._exit(0)", F, NO_VERDICT),
    "_exit in f": ("import os\ndef f(x):\n    os._exit(0)", F, NO_VERDICT),
    "quit": ("quit()", F, NO_VERDICT),
    "SystemExit": ("def f(x):\n    raise SystemExit", F, NO_VERDICT),
    "KeyboardInterrupt": ("def f(x):\n    raise KeyboardInterrupt", F, ERROR),
    "exception text that is no Unicode": ("def f(x):\n    raise KeyError('\\ud800', '\\0')", F, ERROR),
    "recursion": ("def f(x):\n    return f(x)", F, ERROR),
    "exception that lies": (
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit(0)\ndef f(x):\n    raise E()", F, ERROR,
    ),
    "equal to all": (
        "class A:\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __hash__ = lambda s: 4\n"
        "def f(x):\n    return A()", F, FAIL,
    ),
    "equal to all, in a list": (
        "class A:\n    __eq__ = lambda s, o: True\ndef f(x):\n    return [A()]", call("f(2)", "[4]"), FAIL,
    ),
    "subclass of int": ("class A(int):\n    __eq__ = lambda s, o: True\ndef f(x):\n    return A(5)", F, FAIL),
    "subclass of str": ("class A(str):\n    pass\ndef f(x):\n    return A('a')", call("f(2)", "'a'"), FAIL),
    "NaN is not NaN": ("def f(x):\n    return float('nan')", call("f(2)", "float('nan')"), FAIL),
    "True is 1": ("def f(x):\n    return True", call("f(2)", "1"), PASS),
    "4.0 is 4": ("def f(x):\n    return 4.0", F, PASS),
    "a tuple is no list": ("def f(x):\n    return (1, 2)", call("f(2)", "[1, 2]"), FAIL),
    "int keys are no str keys": ("def f(x):\n    return {1: 2}", call("f(2)", "{'1': 2}"), FAIL),
    "dict": ("def f(x):\n    return {1: [2.5, None], 'a': {3}}", call("f(2)", "{'a': {3}, 1: [2.5, None]}"), PASS),
    "big number": ("def f(x):\n    return 7 ** 20_000", call("f(2)", "7 ** 20_000"), PASS),
    "infinity": ("def f(x):\n    return float('-inf')", call("f(2)", "-float('inf')"), PASS),
    "unicode": ("def f(x):\n    return 'ä\u4e2d\U0001f600\\0\\ud800'", call("f(2)", r"'ä中😀\0\ud800'"), PASS),
    "bytes": ("def f(x):\n    return b'\\xff\\0'", call("f(2)", r"b'\xff\0'"), PASS),
    "Counter": (
        "from collections import Counter\ndef f(x):\n    return Counter('abca')",
        call("f(2)", "{'a': 2, 'b': 1, 'c': 1}"), PASS,
    ),
    "Fraction": ("from fractions import Fraction\ndef f(x):\n    return Fraction(1, 2)", call("f(2)", "0.5"), PASS),
    "large list": ("def f(x):\n    return list(range(100_000))", call("f(2)", "list(range(100_000))"), PASS),
    "shared parts": ("def f(x):\n    return [[0] * 3] * 3", call("f(2)", "[[0, 0, 0]] * 3"), PASS),
    "cycle": ("def f(x):\n    a = []\n    a.append(a)\n    return a", call("f(2)", "[[]]"), FAIL),
    "too deep": (
        "def f(x):\n    a = []\n    for _ in range(5000):\n        a = [a]\n    return a", call("f(2)", "[]"), FAIL,
    ),
    "too large": ("def f(x):\n    return 'x' * 8_000_000", call("f(2)", "'x'"), FAIL),
    "endless generator": ("import itertools\ndef f(x):\n    return itertools.count()", call("f(2)", "[0]"), FAIL),
    "generator is no list": ("def f(x):\n    yield 4", call("f(2)", "[4]"), FAIL),
    "function": ("def f(x):\n    return f", F, FAIL),
    "setup": (DOUBLE, call("f(n)", "6", setup="import math\nn = math.isqrt(9)"), PASS),
    "setup does not overwrite": ("n = 5\ndef f(x):\n    return n + x", call("f(n)", "6", setup="n = 1"), PASS),
    "broken setup": (DOUBLE, call("f(n)", "6", setup="n = 1 / 0"), ERROR),
    "is None": ("def f(x):\n    pass", call("f(2)", "None", compare="is"), PASS),
    "0 is not False": ("def f(x):\n    return 0", call("f(2)", "False", compare="is"), FAIL),
    "not equal": (DOUBLE, call("f(2)", "5", compare="not_equal"), PASS),
    "in": (DOUBLE, call("f(2)", "[3, 4]", compare="in"), PASS),
    "any of": (DOUBLE, call("f(2)", "[3, 5]", compare="any_of"), FAIL),
    "close": ("def f(x):\n    return [0.1 + 0.2, 1]", call("f(2)", "[0.3, 1.0]", compare="close"), PASS),
    "not close": ("def f(x):\n    return 0.31", call("f(2)", "0.3", compare="close", abs_tol=0.001), FAIL),
    "NaN is not close": ("def f(x):\n    return float('nan')", call("f(2)", "0.3", compare="close", rel_tol=1), FAIL),
    "unordered": ("def f(x):\n    return [[2], [1], [2]]", call("f(2)", "[[1], [2], [2]]", compare="unordered"), PASS),
    "unordered, counted": ("def f(x):\n    return [1, 1, 2]", call("f(2)", "[1, 2, 2]", compare="unordered"), FAIL),
    "truthy object": (
        "class A:\n    __bool__ = lambda s: True\ndef f(x):\n    return A()", call("f(2)", compare="truthy"), FAIL,
    ),
    "less": (DOUBLE, call("f(2)", "5", compare="less"), PASS),
    "isinstance": (DOUBLE, call("f(2)", "(str, int)", compare="isinstance"), PASS),
    "raises": ("def f(x):\n    raise KeyError(x)", call("f(2)", "LookupError", compare="raises"), PASS),
    "raises another": ("def f(x):\n    raise KeyError(x)", call("f(2)", "ValueError", compare="raises"), FAIL),
    "raises nothing": (DOUBLE, call("f(2)", "ValueError", compare="raises"), FAIL),
    "exits where it should raise": ("def f(x):\n    exit()", call("f(2)", "ValueError", compare="raises"), NO_VERDICT),
    "raises while loading": ("raise ValueError", call("f(2)", "ValueError", compare="raises"), ERROR),
    "stdio": ("print(sum(map(int, input().split())))", StdioCheck(stdin="1 2 3\n", stdout="6"), PASS),
    "stdio wrong": ("print(7)", StdioCheck(stdin="1 2 3\n", stdout="6"), FAIL),
    "stdio too much": ("print(6)\nprint(6)", StdioCheck(stdout="6"), FAIL),
    "stdio white space": ("print('a  \\nb\\n\\n')", StdioCheck(stdout="a\nb"), PASS),
    "stdio order": ("print('b')\nprint('a')", StdioCheck(stdout="a\nb"), FAIL),
    "stdio main guard": ("if __name__ == '__main__':\n    print(1)", StdioCheck(stdout="1"), PASS),
    "stdio exit 0": ("import sys\nprint(1)\nsys.exit(0)", StdioCheck(stdout="1"), PASS),
    "stdio _exit 0": ("import os\nprint(1, flush=True)\nos._exit(0)", StdioCheck(stdout="1"), PASS),
    "stdio exit 3": ("import sys\nprint(1)\nsys.exit(3)", StdioCheck(stdout="1"), ERROR),
    "stdio exit text": ("import sys\nprint(1)\nsys.exit('bad')", StdioCheck(stdout="1"), ERROR),
    "stdio exception": ("print(1)\n1 / 0", StdioCheck(stdout="1"), ERROR),
    "stdio end of input": ("input()", StdioCheck(stdout=""), ERROR),
    "stdio exit function": (
        "import atexit, sys\natexit.register(lambda: sys.stdout.write('2'))\nprint(1)", StdioCheck(stdout="1\n2"), PASS,
    ),
    "stdio all at once": (
        "import sys\nsys.stdout.write(sys.stdin.buffer.read().decode().upper())",
        StdioCheck(stdin="ä" * 50_000, stdout="Ä" * 50_000), (OUTPUT_LIMIT, PASS),
    ),
    "stdio by descriptor": (
        "import os\nos.write(1, os.read(0, 5)[::-1])", StdioCheck(stdin="hello", stdout="olleh"), PASS,
    ),
    "asserts": (DOUBLE, AssertCheck(code="assert f(2) == 4\nassert sorted([f(1), f(0)]) == [0, 2]"), PASS),
    "second assert": (DOUBLE, AssertCheck(code="assert f(2) == 4\nassert f(3) == 7"), FAIL),
    "exception after a wrong answer": (
        "def f(x):\n    return 1 // x", AssertCheck(code="assert f(2) == 4\nassert f(0) == 4"), FAIL,
    ),
    "check(candidate)": (
        DOUBLE,
        AssertCheck(code="def check(c):\n    for x in range(3):\n        assert c(x) == 2 * x\ncheck(f)"),
        PASS,
    ),
    "state within one script": (
        "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)",
        AssertCheck(code="assert f(5) == 1\nassert f(5) == 1"), FAIL,
    ),
    "patched builtins": (
        "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.len = builtins.isinstance = lambda *a: True\n"
        "def f(x):\n    return 5", AssertCheck(code="assert abs(f(2) - 4) < 1e-6"), FAIL,
    ),
    "patched builtins, right": (
        "import builtins\nbuiltins.len = builtins.type = builtins.list = None\ndef f(x):\n    return 4", F, PASS,
    ),
    "looks like a frame": (
        "import sys\ndef f(x):\n    sys.stdout.buffer.write(b'\\x05\\0\\0\\0i\\x01\\0\\0\\0\\4')\n"
        "    print('PASS')\n    return 5", F, FAIL,
    ),
    "spray every descriptor": (
        "import os\ndef f(x):\n    for fd in range(64):\n        try:\n            os.write(fd, b'\\1\\0\\0\\0N')\n"
        "        except OSError:\n            pass\n    return 5", F, (TAMPERED, FAIL),
    ),
    "close every descriptor": (
        "import os\ndef f(x):\n    os.closerange(0, 64)\n    return 5", F, (NO_VERDICT, TAMPERED, FAIL, ERROR, CRASH),
    ),
    "frames hold no answer": (
        "import sys, gc\ndef f(x):\n    frame, found = sys._getframe(), []\n    while frame:\n"
        "        found += [repr(v) for v in frame.f_locals.values()]\n        frame = frame.f_back\n"
        "    found += [repr(o) for o in gc.get_objects() if type(o) in (list, tuple, dict, str)]\n"
        "    wanted = 'CANARY-9173'.lower()\n    return wanted if any(wanted in text for text in found) else 'nothing'",
        call("f(2)", "'canary-9173'"), FAIL,
    ),
    "tracing": (
        "import sys\ndef look(*args):\n    return look\nsys.settrace(look)\nsys.setprofile(look)\n" + DOUBLE, F, PASS,
    ),
    "ends by SystemExit in __del__": (
        "import atexit, os\natexit.register(lambda: os._exit(0))\nclass A:\n    def __del__(self):\n"
        "        os._exit(0)\na = A()\ndef f(x):\n    return 5", F, FAIL,
    ),
    "writes a file outside": ("open('/etc/of-the-program', 'w').write('x')", F, ERROR),
    "connects": (
        "import socket\ndef f(x):\n    socket.create_connection(('1.1.1.1', 53), timeout=2)\n    return 4", F, ERROR,
    ),
    "starts a process": (
        "import subprocess\ndef f(x):\n    return subprocess.run(['/bin/nothing-here']).returncode", F, ERROR,
    ),
    "too much memory at once": ("def f(x):\n    return len(bytearray(2 ** 31 - 100))", F, (ERROR, OOM)),
    "output flood": ("def f(x):\n    while True:\n        print('x' * 1000)", F, OUTPUT_LIMIT),
    "one long line": ("def f(x):\n    print('x' * 10 ** 7)\n    return 4", F, OUTPUT_LIMIT),
    "error flood": ("import os\ndef f(x):\n    while True:\n        os.write(2, b'y' * 10_000)", F, OUTPUT_LIMIT),
    "odd output": ("def f(x):\n    print('\\0\\ud800\\u202e\\x1b[31m')\n    return 4", F, PASS),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_outcome(sandbox: Sandbox, name: str) -> None:
    source, check, expected = CASES[name]
    verdict = await judge(sandbox, source, check)
    wanted = expected if isinstance(expected, tuple) else (expected,)
    assert verdict.outcome in wanted, verdict
    assert verdict.integrity == "strong"
    assert verdict.checks[0].outcome is verdict.outcome
    assert (await judge(sandbox, DOUBLE, F)).passed


ENDLESS = {
    "sleep": "import time\ndef f(x):\n    time.sleep(1e6)",
    "busy loop": "def f(x):\n    while True:\n        pass",
    "C loop": "def f(x):\n    return 10 ** 10 ** 8",
    "regular expression": "import re\ndef f(x):\n    re.match('(a+)+$', 'a' * 64 + 'b')",
    "catches everything": (
        "def f(x):\n    while True:\n        try:\n            while True:\n                pass\n"
        "        except BaseException:\n            pass"
    ),
    "at import": "while True:\n    pass",
    "many short sleeps": "import time\ndef f(x):\n    while True:\n        time.sleep(0.001)",
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_deadline(sandbox: Sandbox, name: str) -> None:
    started = time.monotonic()
    verdict = await judge(sandbox, ENDLESS[name], F, limits=SHORT)
    assert verdict.outcome is TIMEOUT
    assert time.monotonic() - started < SHORT.wall_s + 2


async def test_processor_time_is_limited(sandbox: Sandbox) -> None:
    verdict = await judge(sandbox, ENDLESS["busy loop"], F, limits=Limits(wall_s=20, cpu_s=1))
    assert verdict.outcome is Outcome.CPU_LIMIT


async def test_sleeping_costs_no_processor_time(sandbox: Sandbox) -> None:
    verdict = await judge(sandbox, "import time\ntime.sleep(0.5)\n" + DOUBLE, F)
    assert verdict.passed
    assert verdict.wall_s >= 0.45
    assert verdict.cpu_s < 0.4


async def test_memory_is_limited(sandbox: Sandbox) -> None:
    source = "kept = []\ndef f(x):\n    while True:\n        kept.append(bytearray(b'x') * 2 ** 20)"
    verdict = await judge(sandbox, source, F, limits=Limits(wall_s=20, cpu_s=20, memory_mb=64))
    assert verdict.outcome in (OOM, ERROR)
    assert verdict.outcome is OOM or "MemoryError" in verdict.message


async def test_limits_are_those_of_the_run(sandbox: Sandbox) -> None:
    source = "def f(x):\n    return len(bytearray(90 << 20)) >> 20"
    small, large = Limits(wall_s=20, cpu_s=20, memory_mb=64), Limits(wall_s=20, cpu_s=20, memory_mb=512)
    check = call("f(2)", "90")
    assert not (await judge(sandbox, source, check, limits=small)).passed
    assert (await judge(sandbox, source, check, limits=large)).passed
    source, check = "def f(x):\n    print('x' * 5_000)\n    return 4", F
    assert (await judge(sandbox, source, check, limits=Limits(output_bytes=4_000))).outcome is OUTPUT_LIMIT
    assert (await judge(sandbox, source, check, limits=Limits(output_bytes=6_000))).passed


async def test_first_failing_check_decides(sandbox: Sandbox) -> None:
    verdict = await judge(sandbox, DOUBLE, F, call("f(3)", "7"), call("f(None)", "1"))
    assert verdict.outcome is FAIL
    assert [result.outcome for result in verdict.checks] == [PASS, FAIL]
    assert verdict.checks[1].index == 1
    assert (verdict.checks[1].expected, verdict.checks[1].actual) == ("7", "6")


async def test_checks_do_not_share_state(sandbox: Sandbox) -> None:
    source = "import builtins, os\nanswers = [4, 6]\ndef f(x):\n    return answers.pop(0)"
    verdict = await judge(sandbox, source, F, call("f(3)", "6"))
    assert [result.outcome for result in verdict.checks] == [PASS, FAIL]
    source = (
        "def f(x):\n    try:\n        open('/tmp/n').close()\n        return 6\n    except OSError:\n        try:\n"
        "            open('/tmp/n', 'w').close()\n        except OSError:\n            pass\n        return 4"
    )
    verdict = await judge(sandbox, source, F, call("f(3)", "6"))
    assert [result.outcome for result in verdict.checks] == [PASS, FAIL]


async def test_no_checks_load_the_program_once(sandbox: Sandbox) -> None:
    verdict = await judge(sandbox, "print('loaded', __name__)")
    assert verdict.passed
    assert [result.stdout for result in verdict.checks] == ["loaded program\n"]
    assert (await judge(sandbox, "1 / 0")).outcome is ERROR
    assert (await judge(sandbox, "def")).outcome is SYNTAX
    assert (await judge(sandbox, "exit()")).outcome is NO_VERDICT


async def test_output_is_reported(sandbox: Sandbox) -> None:
    source = "import sys\ndef f(x):\n    print('out ä')\n    print('err', file=sys.stderr)\n    raise KeyError('k')"
    result = (await judge(sandbox, source, F)).checks[0]
    assert result.stdout == "out ä\n"
    assert result.stderr.startswith("err\n")
    assert "KeyError" in result.message
    assert "line 5" in result.message
    assert not result.truncated


async def test_a_program_can_use_itself_as_a_module(sandbox: Sandbox) -> None:
    source = (
        "from __future__ import annotations\nimport dataclasses, enum, typing\n@dataclasses.dataclass\nclass P:\n"
        "    x: int = 1\n    y: typing.ClassVar[int] = 2\nclass C(enum.Enum):\n    A = 1\n"
        "def f(x):\n    return dataclasses.astuple(P(x)) + (C.A.value, len(typing.get_type_hints(P)))"
    )
    assert (await judge(sandbox, source, call("f(2)", "(2, 1, 2)"))).passed


async def test_bad_checks_are_refused(sandbox: Sandbox) -> None:
    for check in (call("f(2"), call("f(2)", "g(2)"), call("f(2)", "4 +"), AssertCheck(code="assert True")):
        with pytest.raises(InvalidCheck, match="check 2: "):
            await judge(sandbox, DOUBLE, F, check)


async def test_languages_it_cannot_run_are_refused(sandbox: Sandbox) -> None:
    if sandbox.isolation == "wasm":
        with pytest.raises(SandboxError, match="Docker"):
            await sandbox.run(Program(source="1", language="bash"), [], QUICK)
    with pytest.raises(SandboxError):
        await sandbox.run(Program(source="1", language="bash"), [F], QUICK)


async def test_many_at_once(sandbox: Sandbox) -> None:
    verdicts: dict[int, Verdict] = {}

    async def one(number: int) -> None:
        check = call(f"f({number})", str(2 * number))
        verdicts[number] = await judge(sandbox, DOUBLE if number % 3 else "def f(x):\n    return 1", check)

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(one, number)
    assert {number: verdict.passed for number, verdict in verdicts.items()} == {n: n % 3 > 0 for n in range(12)}


async def test_cancelling_leaves_nothing_running(sandbox: Sandbox) -> None:
    await judge(sandbox, DOUBLE, F)
    before = threading.active_count()
    for source in (ENDLESS["busy loop"], ENDLESS["sleep"]):
        started = time.monotonic()
        with anyio.move_on_after(0.5):
            await judge(sandbox, source, F, limits=Limits(wall_s=60, cpu_s=60))
        assert time.monotonic() - started < 5
    assert (await judge(sandbox, DOUBLE, F)).passed
    assert threading.active_count() <= before + 1
