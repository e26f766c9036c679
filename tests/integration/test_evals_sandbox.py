"""The harness against the known: references pass, wrong programs fail, plus inputs get values. In real containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.evals import datasets
from atlas.evals.datasets import humaneval, leetcode, mbpp
from atlas.evals.datasets.files import Content
from atlas.evals.grade import judge
from atlas.evals.problems import Excluded, OpenCall, Plus, Problem
from atlas.evals.references import References
from atlas.types import AssertCheck, CallCheck, Program
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.types import Outcome
from tests.support.evals import DATA, problem

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[DockerSandbox]:
    made = await DockerSandbox.start(DockerSettings(warm=1, concurrency=1))
    yield made
    await made.aclose()


@pytest.fixture
def references(sandbox: DockerSandbox, tmp_path: Path) -> References:
    return References(sandbox=sandbox, folder=tmp_path, pause_s=0.1)


def content(name: str) -> Content:
    return Content.of((DATA / f"{name}.jsonl").read_bytes(), name)


def own_problems() -> list[Problem]:
    found = humaneval.parse(content("humaneval"))[0] + leetcode.parse(content("leetcode"))[0]
    return found + mbpp.split(1, 974)(content("mbpp"), content("mbpp_plus"))[0]


WRONG = {
    "HumanEval/9001": "def total(values):\n    return sum(values) + (values == [])\n",
    "HumanEval/9002": "def shout(word):\n    return word.upper()\n",
    "leetcode/add-up": "def addUp(nums):\n    return 3 if nums else 0\n",
    "leetcode/pairs-of": "def pairs(n, m=None):\n    return [[0, n]]\n",
    "mbpp/600": "def evens(t):\n    return tuple(x for x in t if x in (2, 4))\n",  # passes the asserts, not the plus
    "mbpp/601": "def merge(a, b):\n    return {**a, **{k: a.get(k, 0) + b[k] for k in b if k == 1}}\n",  # the same
    "mbpp/12": "def double(n):\n    return n + 2\n",
}


async def test_references_pass_and_known_wrong_programs_fail(references: References) -> None:
    problems = own_problems()
    assert {p.id for p in problems} == WRONG.keys()
    for one in problems:
        settled = await references.settle(one)
        assert isinstance(settled, Problem), settled
        assert settled.reference is not None
        right = await judge(references.sandbox, settled.reference, settled.checks, settled.limits)
        wrong = await judge(references.sandbox, Program(source=WRONG[one.id]), settled.checks, settled.limits)
        assert (right.outcome, wrong.outcome) == (Outcome.PASS, Outcome.FAIL), one.id
        assert right.integrity == "strong"


async def test_a_program_that_passes_the_asserts_may_fail_the_plus_inputs(references: References) -> None:
    (evens,) = mbpp.split(600, 600)(content("mbpp"), content("mbpp_plus"))[0]
    wrong = Program(source=WRONG["mbpp/600"])
    assert (await judge(references.sandbox, wrong, evens.checks, evens.limits)).passed
    settled = await references.settle(evens)
    assert isinstance(settled, Problem)
    (script,) = settled.hidden[2:]
    assert isinstance(script, AssertCheck)
    assert script.code == "assert evens((8, 9)) == (8,)\nassert evens((0,)) == (0,)\nassert evens((-2, -3)) == (-2,)"


def plus_problem(reference: str, calls: list[OpenCall], contract: str = "") -> Problem:
    program = Program(source=reference)
    return replace(
        problem("plus"), reference=program, hidden=(),
        plus=Plus(calls=tuple(calls), reference=program, entry_point="f", contract=contract),
    )


async def test_inputs_that_break_the_contract_are_dropped(references: References) -> None:
    calls = [OpenCall(call=f"f({value})") for value in ("1", "'x'", "2", "3")]
    same, whole = "def f(n):\n    return n\n", "    assert isinstance(n, int)\n"
    settled = await references.settle(plus_problem(same, calls, whole))
    assert isinstance(settled, Problem)
    assert settled.hidden == (AssertCheck(code="assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3"),)


async def test_values_that_change_from_run_to_run_make_no_check(references: References) -> None:
    source = "import random\n\ndef f(n):\n    return n if n < 3 else random.random()\n"
    settled = await references.settle(plus_problem(source, [OpenCall(call=f"f({n})") for n in range(5)]))
    assert isinstance(settled, Problem)
    assert settled.hidden == (AssertCheck(code="assert f(0) == 0\nassert f(1) == 1\nassert f(2) == 2"),)


async def test_calls_that_disturb_each_other_get_a_process_each(references: References) -> None:
    source = "seen = []\n\ndef f(n):\n    seen.append(n)\n    return n if n == 0 else len(seen)\n"
    settled = await references.settle(plus_problem(source, [OpenCall(call=f"f({n})") for n in (0, 1, 2)]))
    assert isinstance(settled, Problem)
    assert [c.expected for c in settled.hidden if isinstance(c, CallCheck)] == ["0", "1", "1"]


async def test_comparisons_follow_the_open_call(references: References) -> None:
    source = "def f(n):\n    return {0: [2, 1], 1: 1.5, 2: [], 3: 'x' * 3000}[n]\n"
    calls = [
        OpenCall(call="f(0)", compare="unordered"), OpenCall(call="f(1)", abs_tol=1e-6),
        OpenCall(call="f(2)", compare="truth"), OpenCall(call="f(3)"),
    ]
    one = plus_problem(source, calls)
    visible = (CallCheck(call="f(2)", expected="[]"),)
    settled = await references.settle(replace(one, task=one.task.model_copy(update={"checks": visible})))
    assert isinstance(settled, Problem)
    assert settled.hidden == (
        AssertCheck(code="assert not f(2)"),
        CallCheck(call="f(0)", expected="[2, 1]", compare="unordered"),
        CallCheck(call="f(1)", expected="1.5", compare="close", abs_tol=1e-6),
    ), "a value too long to be shown whole makes no check"


async def test_a_reference_that_fails_excludes_its_problem_with_the_reason(references: References) -> None:
    wrong = Program(source="def f(n):\n    return n + 1\n")
    settled = await references.settle(replace(problem("bad"), reference=wrong))
    assert isinstance(settled, Excluded)
    assert settled.reason == "its reference does not pass its own checks: check 0: FAIL, expected 0, got 1"


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_humanevals_canonical_solutions_pass_and_empty_bodies_fail(references: References) -> None:
    found = datasets.load("humaneval")
    assert len(found.problems) == 164
    for one in found.problems:
        settled = await references.settle(one)
        assert isinstance(settled, Problem), f"{one.id}: {settled}"
        empty = Program(source=f"def {one.task.entry_point}(*args, **kwargs):\n    return None\n")
        verdict = await judge(references.sandbox, empty, one.checks, one.limits)
        assert verdict.outcome in (Outcome.FAIL, Outcome.ERROR), one.id
