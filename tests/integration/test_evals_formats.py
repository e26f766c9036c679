"""Published formats in real containers: right programs pass, known-wrong ones fail, in every language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.evals.alone import AsksAgain
from atlas.evals.datasets import humaneval, livecodebench, mbpp, multipl_e
from atlas.evals.datasets.files import Content
from atlas.evals.graded import Grading
from atlas.evals.problems import Excluded, OpenCall, Plus, Problem
from atlas.evals.references import References
from atlas.evals.samples import Sample, Samples
from atlas.types import AssertCheck, Program
from sandbox.docker import DockerSandbox, DockerSettings
from tests.support.evals import DATA, problem

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[AsksAgain]:
    made = await DockerSandbox.start(DockerSettings(warm=1, concurrency=1, reuse=100))
    yield AsksAgain(sandbox=made)
    await made.aclose()


@pytest.fixture
def references(sandbox: AsksAgain, tmp_path: Path) -> References:
    return References(sandbox=sandbox, folder=tmp_path, pause_s=0.1)


def content(name: str) -> Content:
    return Content.of((DATA / name).read_bytes(), name)


async def outcomes(references: References, one: Problem, sources: list[str]) -> list[str]:
    """What becomes of each program, in order."""
    samples = tuple(
        Sample(line=n, problem=one, program=Program(source=source, language=one.task.language))
        for n, source in enumerate(sources, start=1)
    )
    grading = Grading(references=references, workers=1)
    graded = await grading.run(Samples(samples=samples, unknown={}, sha256=""), [one])
    assert not graded.excluded and not graded.infrastructure, graded
    assert graded.weak == 0
    return [grading.book.lines[sample.line].outcome.value for sample in samples]


async def test_humaneval_plus_finds_what_humaneval_does_not(references: References) -> None:
    problems, _ = humaneval.parse_plus(content("humaneval.jsonl"), content("humaneval_plus.jsonl"))
    total, shout = problems
    small = "def total(values):\n    return sum(v for v in values if v < 10 ** 9)\n"
    right = "def total(values):\n    return sum(values)\n"
    assert await outcomes(references, replace(total, plus=None), [small]) == ["PASS"]
    assert await outcomes(references, total, [right, small]) == ["PASS", "FAIL"]
    settled = await references.settle(total)
    assert isinstance(settled, Problem)
    assert settled.note == "1 of 5 plus inputs cannot be used", "the contract refuses one"
    assert await outcomes(references, shout, ["def shout(w):\n    return w.upper() + '!'\n", ""]) == ["PASS", "ERROR"]


async def test_any_root_of_a_polynomial_is_right(references: References) -> None:
    source = "def f(xs):\n    return 1.0\n"
    calls = (OpenCall(call="f([2, -3, 1])", compare="root", abs_tol=1e-4),)
    reference = Program(source=source)
    one = replace(
        problem("root"), reference=reference, hidden=(AssertCheck(code="assert f([2, -3, 1]) > 0"),),
        plus=Plus(calls=calls, reference=reference, entry_point="f"),
    )
    one = replace(one, task=one.task.model_copy(update={"checks": ()}))
    cheat = "abs = sum = lambda *_: 0\ndef f(xs):\n    return 3.0\n"
    other = "def f(xs):\n    return 2.00001\n"
    assert await outcomes(references, one, [source, other, cheat]) == ["PASS", "PASS", "FAIL"]


async def test_sanitized_mbpp_runs_its_imports(references: References) -> None:
    problems, _ = mbpp.parse_sanitized(content("sanitized-mbpp.json"))
    sources = ["def root(n):\n    return n ** 0.5\n", "def root(n):\n    return n / 2\n"]
    assert await outcomes(references, problems[1], sources) == ["PASS", "FAIL"]


async def test_livecodebench_in_both_kinds(references: References) -> None:
    (total, pair), _ = livecodebench.parse(content("livecodebench.jsonl"))
    read = "a, b = map(float, input().split())\n"
    sources = [read + "print(a + b)", read + "print(round(a + b))", "print(3)", "print(3"]
    assert await outcomes(references, total, sources) == ["PASS", "FAIL", "FAIL", "SYNTAX"]
    method = "class Solution:\n    def pairUp(self, nums: List[int], name: str) -> List[str]:\n        return {}\n"
    sources = [
        method.format("tuple(f'{n}{name}' for n in sorted(nums))"), method.format("[f'{n}{name}' for n in nums]"),
        "def pairUp(nums, name):\n    return [f'{n}{name}' for n in sorted(nums)]", "x = 1",
    ]
    assert await outcomes(references, pair, sources) == ["PASS", "FAIL", "PASS", "ERROR"]


CPP = "#include<vector>\n#include<optional>\n#include<tuple>\n#include<cstdlib>\n#include<iostream>\n"
SPREAD = "std::optional<std::tuple<long, long>> spread(std::vector<long> v) {{ {} }}\nint main() {{ }}\n"
LEAST = (
    "std::cout << 1; if (v.empty()) return std::nullopt; long a = v[0], b = v[0];"
    "for (long x : v) { if (x < a) a = x; if (x > b) b = x; } return std::make_tuple(a, b);"
)
PROGRAMS = {
    "multipl-e-js/HumanEval_9001_tally": {
        "const tally = t => t.split(' ').filter(w => w)"
        ".reduce((o, w) => (console.log(o), o[w] = (o[w] || 0) + 1, o), {})\nconsole.log(tally('x'))": "PASS",
        "function tally(text){ return {}; }": "FAIL", "process.exit(0)": "FAIL", "function tally(t) {": "SYNTAX",
    },
    "multipl-e-js/HumanEval_9002_first": {
        "function first(items){ return items.length ? items[0] : null; }": "PASS",
        "function first(items){ return [items[0]]; }": "FAIL",
    },
    "multipl-e-cpp/HumanEval_9001_spread": {
        CPP + SPREAD.format(LEAST): "PASS", CPP + SPREAD.format("return std::nullopt;"): "FAIL",
        CPP + SPREAD.format("exit(0);"): "FAIL", "int spread": "SYNTAX",
    },
    "multipl-e-cpp/HumanEval_9002_halves": {
        "#include<bits/stdc++.h>\nusing namespace std;\nmap<string,float> halves(map<string,float> n) "
        "{ for (auto& p : n) p.second /= 2; return n; }": "PASS",
    },
    "multipl-e-sh/HumanEval_9001_shout": {
        "#!/bin/bash\nshout() {\n  echo \"${1^^}!\"\n}\nshout hello": "PASS", "shout() { echo \"$1!\"; }": "FAIL",
        "exit 0": "FAIL", "shout() { printf '%s! ' \"${1^^}\"; }": "FAIL",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("id_", PROGRAMS)
async def test_multipl_e_in_every_language(references: References, id_: str) -> None:
    language = id_.partition("/")[0].rpartition("-")[2]
    problems, _ = multipl_e.parse(content(f"multipl_e_{language}.jsonl"))
    (one,) = [problem for problem in problems if problem.id == id_]
    assert await outcomes(references, one, list(PROGRAMS[id_])) == list(PROGRAMS[id_].values())


async def test_expected_values_that_cannot_be_computed_exclude_the_problem(references: References) -> None:
    one = multipl_e.parse(content("multipl_e_sh.jsonl"))[0][0]
    settled = await references.settle(replace(one, expected=Program(source="printf 'x", language="bash")))
    assert isinstance(settled, Excluded)
    assert "expected values cannot be computed" in settled.reason
