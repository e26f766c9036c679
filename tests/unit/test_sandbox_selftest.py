"""The proof at the start: what a lost container says of a limit, and what it does not."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.checks import Step
from sandbox.errors import SandboxUnavailable
from sandbox.link import LinkLost
from sandbox.raw import Exit, Raw
from sandbox.selftest import Probe, prove
from sandbox.types import Limits

HELD = Raw(exit=Exit.EXITED, stdout=b"held\n")


def proven(answers: list[Raw | None], probe: Probe) -> None:
    """Prove with a sandbox that answers so; None is a container that is lost."""

    async def once(step: Step, limits: Limits) -> Raw:
        answer = answers.pop(0)
        if answer is None:
            raise LinkLost("it went away")
        return answer

    asyncio.run(prove(once, Limits(), [probe]))
    assert not answers


def test_a_container_that_is_lost_once_is_replaced() -> None:
    proven([None, HELD], Probe(name="disk", source=""))


@pytest.mark.parametrize(
    ("answers", "why"),
    [([None, None], "disk: it went away"), ([None, Raw(exit=Exit.EXITED, stdout=b"got through")], "disk: got through")],
)
def test_a_limit_that_cannot_be_proven_does_not_hold(answers: list[Raw | None], why: str) -> None:
    with pytest.raises(SandboxUnavailable, match=f"does not hold.*{why}"):
        proven(answers, Probe(name="disk", source=""))


def test_a_limit_may_hold_by_ending_the_container() -> None:
    proven([None], Probe(name="disk", source="", may_end_it=True))
