"""Time-outs that may be the machine's fault are judged again, alone; those that are not, are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from atlas.evals.alone import AsksAgain, borderline
from atlas.evals.problems import Problem
from atlas.types import Check, Limits, Program, Verdict
from sandbox.types import CheckResult, Outcome
from tests.support.evals import problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def verdict(outcome: Outcome, *, wall_s: float = 5.0, cpu_s: float = 5.0) -> Verdict:
    result = CheckResult(index=0, outcome=outcome, wall_s=wall_s, cpu_s=cpu_s)
    return Verdict(outcome=outcome, isolation="fake", checks=(result,))


@dataclass(kw_only=True)
class Scripted:
    """Says what it is told to, one verdict after the other, and notes how many ran at a time."""

    says: dict[str, list[Verdict]]
    isolation: str = "fake"
    running: int = 0
    seen: list[tuple[str, float, int]] = field(default_factory=list)

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        self.running += 1
        await anyio.sleep(0.01)
        self.seen.append((program.source, limits.wall_s, self.running))
        await anyio.sleep(0.01)
        self.running -= 1
        said = self.says.get(program.source, [])
        return said.pop(0) if said else verdict(Outcome.PASS, cpu_s=0.1)

    async def aclose(self) -> None:
        return None


STARVED = verdict(Outcome.TIMEOUT, wall_s=20.0, cpu_s=3.0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (STARVED, True),
        (verdict(Outcome.CPU_LIMIT, wall_s=9.0, cpu_s=5.0), True),
        (verdict(Outcome.CPU_LIMIT, wall_s=5.1, cpu_s=5.0), False),
        (verdict(Outcome.TIMEOUT, wall_s=20.0, cpu_s=19.9), False),
        (verdict(Outcome.FAIL, wall_s=20.0, cpu_s=0.1), False),
        (Verdict(outcome=Outcome.TIMEOUT, isolation="fake"), True),
    ],
)
def test_only_a_program_that_was_starved_is_borderline(found: Verdict, expected: bool) -> None:
    assert borderline(found) is expected


@pytest.mark.parametrize("second", [Outcome.PASS, Outcome.TIMEOUT, Outcome.FAIL])
async def test_the_second_verdict_counts_and_had_twice_the_time(second: Outcome) -> None:
    inner = Scripted(says={"slow": [STARVED, verdict(second)]})
    found = await AsksAgain(sandbox=inner).run(Program(source="slow"), [], Limits(wall_s=20, cpu_s=5))
    assert found.outcome is second
    assert [wall for _, wall, _ in inner.seen] == [20.0, 40.0]


async def test_the_second_run_has_the_sandbox_to_itself_and_others_go_on_after_it() -> None:
    inner = Scripted(says={"slow": [STARVED]})
    sandbox = AsksAgain(sandbox=inner)
    async with anyio.create_task_group() as tasks:
        for source in ("slow", "a", "b", "c"):
            tasks.start_soon(sandbox.run, Program(source=source), [], Limits())
        await anyio.sleep(0.03)
        for source in ("d", "e"):
            tasks.start_soon(sandbox.run, Program(source=source), [], Limits())
    again = [running for source, _, running in inner.seen if source == "slow"]
    assert again == [4, 1]
    assert len(inner.seen) == 7


async def test_a_cancelled_wait_holds_nobody_up() -> None:
    sandbox = AsksAgain(sandbox=Scripted(says={}))
    async with sandbox.turns.together():
        with anyio.move_on_after(0.02):
            async with sandbox.turns.alone():
                raise AssertionError("somebody is still there")
    with anyio.fail_after(1):
        assert (await sandbox.run(Program(source="x"), [], Limits())).passed


def slow(seconds: float) -> Problem:
    return Problem(task=problem("a").task, hidden=(), dataset="own", reference_cpu_s=seconds)


@pytest.mark.parametrize(("reference", "cpu", "wall"), [(0.0, 5, 20), (1.0, 5, 20), (3.0, 12, 48), (500.0, 600, 600)])
def test_limits_follow_a_slow_reference(reference: float, cpu: float, wall: float) -> None:
    limits = slow(reference).limits
    assert (limits.cpu_s, limits.wall_s) == (cpu, wall)


def test_what_was_measured_here_does_not_change_what_a_label_means() -> None:
    assert slow(3.0).digest() == slow(0.0).digest()
