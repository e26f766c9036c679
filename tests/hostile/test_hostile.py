"""Every hostile program gets the verdict it deserves, and what runs after it does not notice that it was there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.hostile.corpus import CASES, ISOLATIONS, Case, shown
from tests.hostile.ground import Ground

pytestmark = pytest.mark.anyio
Record = Callable[[str, object], None]


def cases(isolation: str) -> pytest.MarkDecorator:
    """Every program that has something to attack there."""
    found = [case for case in CASES if case.expected(isolation)]
    return pytest.mark.parametrize("case", found, ids=[case.name for case in found])


STUDY = 46
ELSEWHERE = {45, 46}
"""Rows of the study that are about killing the service or its containers: see test_host.py."""


@pytest.mark.docker
@cases("docker")
async def test_in_docker(docker: Ground, case: Case, record_property: Record) -> None:
    await meet(docker, case, record_property)


@cases("wasm")
async def test_in_wasm(wasm: Ground, case: Case, record_property: Record) -> None:
    await meet(wasm, case, record_property)


async def meet(ground: Ground, case: Case, record_property: Record) -> None:
    """Run a program, and hold its verdict and what it leaves against what it deserves."""
    isolation = ground.sandbox.isolation
    verdict = await ground.sandbox.run(case.program, case.checks, case.run_limits())
    objection = case.objection(verdict, isolation) or await ground.objection()
    row = (case.name, isolation, shown(case.expected(isolation)), str(verdict.outcome), objection)
    record_property("hostile", row)
    assert not objection, f"{case.tries}: {objection}\n{verdict.model_dump_json(indent=1)}"


def test_every_program_meets_a_sandbox() -> None:
    assert all(any(map(case.expected, ISOLATIONS)) for case in CASES)


def test_every_row_of_the_study_is_here() -> None:
    assert {row for case in CASES for row in case.rows} == set(range(1, STUDY + 1)) - ELSEWHERE
