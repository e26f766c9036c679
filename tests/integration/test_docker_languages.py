"""Programs in other languages: standard input to standard output, through images built the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.errors import InvalidCheck
from sandbox.types import CallCheck, Language, Limits, Outcome, Program, StdioCheck

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(600)]
LIMITS = Limits(wall_s=30, cpu_s=30)
CHECK = StdioCheck(stdin="3 4\n", stdout="7\n")
RIGHT: dict[Language, str] = {
    "javascript": """const [a, b] = require("fs").readFileSync(0, "utf8").split(" ").map(Number);
console.log(a + b);""",
    "bash": "read a b\necho $((a + b))",
    "cpp": """#include <iostream>
int main() { int a, b; std::cin >> a >> b; std::cout << a + b << std::endl; }""",
}
BROKEN: dict[Language, str] = {"javascript": "let x = ;", "bash": "if true; then", "cpp": "int main() { return x; }"}
LOOP: dict[Language, str] = {
    "javascript": "for (;;) {}",
    "bash": "while :; do :; done",
    "cpp": "int main() { for (volatile int i = 0;; i++) {} }",
}
LANGUAGES = sorted(RIGHT)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DockerSandbox]:
    settings = DockerSettings(warm=0, reuse=100, proofs=tmp_path_factory.mktemp("proofs"))
    async with await DockerSandbox.start(settings) as sandbox:
        yield sandbox


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_right_program_passes_and_a_wrong_one_fails(sandbox: DockerSandbox, language: Language) -> None:
    verdict = await sandbox.run(Program(source=RIGHT[language], language=language), [CHECK, CHECK], LIMITS)
    assert verdict.passed and len(verdict.checks) == 2, verdict
    wrong = RIGHT[language].replace("+", "-")
    verdict = await sandbox.run(Program(source=wrong, language=language), [CHECK], LIMITS)
    assert verdict.outcome is Outcome.FAIL and verdict.checks[0].actual == "-1\n"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_does_not_compile_is_syntax(sandbox: DockerSandbox, language: Language) -> None:
    for checks in ([CHECK], []):
        verdict = await sandbox.run(Program(source=BROKEN[language], language=language), checks, LIMITS)
        assert verdict.outcome is Outcome.SYNTAX and verdict.message, verdict
    assert (await sandbox.run(Program(source=RIGHT[language], language=language), [], LIMITS)).passed


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_clock_holds(sandbox: DockerSandbox, language: Language) -> None:
    program = Program(source=LOOP[language], language=language)
    verdict = await sandbox.run(program, [CHECK], Limits(wall_s=60, cpu_s=4))
    assert verdict.outcome is Outcome.CPU_LIMIT, verdict


async def test_exit_status_and_crash(sandbox: DockerSandbox) -> None:
    verdict = await sandbox.run(Program(source="echo 7; exit 3", language="bash"), [CHECK], LIMITS)
    assert verdict.outcome is Outcome.ERROR and "exit status 3" in verdict.message
    crash = "#include <cstdlib>\nint main() { std::abort(); }"
    assert (await sandbox.run(Program(source=crash, language="cpp"), [CHECK], LIMITS)).outcome is Outcome.CRASH
    hungry = "#include <vector>\nint main() { std::vector<char*> v; for (;;) v.push_back(new char[1 << 20]()); }"
    assert (await sandbox.run(Program(source=hungry, language="cpp"), [CHECK], LIMITS)).outcome is Outcome.OOM


async def test_only_the_compiler_s_output_can_be_run_from_the_writable_folder(sandbox: DockerSandbox) -> None:
    source = "cp /bin/echo here && ./here 7"
    verdict = await sandbox.run(Program(source=source, language="bash"), [CHECK], LIMITS)
    assert verdict.outcome is Outcome.ERROR and "Permission denied" in verdict.checks[0].stderr


async def test_calls_are_for_python(sandbox: DockerSandbox) -> None:
    with pytest.raises(InvalidCheck, match="standard input and output"):
        await sandbox.run(Program(source="", language="bash"), [CallCheck(call="f()", expected="1")], LIMITS)
