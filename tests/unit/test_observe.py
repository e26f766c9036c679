"""Events tell what happens, and change nothing of it."""

from __future__ import annotations

import json

import pytest

from atlas.observe import Event, ObservedLLM, ObservedRanker, ObservedSandbox
from atlas.protocols import LLM, ModelTooLong, Ranker, Sampling
from atlas.rank import baseline
from atlas.types import Limits, Program
from sandbox.types import Sandbox
from tests.support.domain import TASK, ScriptLLM, ScriptSandbox, candidate

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_generation_is_told_before_and_after() -> None:
    events: list[Event] = []
    inner = ScriptLLM(rounds=[["a", "b"]])
    llm = ObservedLLM(llm=inner, observe=events.append)
    completions, usage = await llm.sample([], Sampling(n=2, temperature=0.5, seed=0, max_tokens=9))
    assert [c.text for c in completions] == ["a", "b"] and usage.total == 30
    assert [(e.name, dict(e.data)) for e in events] == [
        ("generation.started", {"n": 2, "temperature": 0.5, "greedy_first": False, "model": "fake"}),
        ("generation.finished", {"completions": 2, "prompt_tokens": 10, "completion_tokens": 20}),
    ]
    assert isinstance(llm, LLM) and llm.capabilities is inner.capabilities
    assert len(await llm.embed(["x"])) == 1 and isinstance(await llm.read([], "LONG"), ModelTooLong)


async def test_a_generation_that_fails_has_begun_and_not_finished() -> None:
    events: list[Event] = []
    with pytest.raises(ZeroDivisionError):
        await ObservedLLM(llm=ScriptLLM(rounds=[ZeroDivisionError()]), observe=events.append).sample(
            [], Sampling(n=1, temperature=0, seed=0, max_tokens=1)
        )
    assert [e.name for e in events] == ["generation.started"]


async def test_each_candidate_is_told_with_rank_and_cost() -> None:
    events: list[Event] = []
    ranker = ObservedRanker(ranker=baseline("log-probability"), observe=events.append)
    pool = [candidate("x = 1", 0, logprobs=None), candidate("x = 2", 1)]
    ranked = await ranker.rank(TASK, pool)
    assert isinstance(ranker, Ranker) and ranker.name == "log-probability"
    (event,) = events
    assert event.name == "candidates.ranked" and event.data["ranker"] == "log-probability"
    told = json.loads(json.dumps(event.data))["candidates"]
    assert [(t["rank"], t["index"]) for t in told] == [(0, 1), (1, 0)]
    assert told[0]["cost"] == ranked[0].cost and told[1]["cost"] is None and "gives no" in told[1]["problem"]


async def test_a_run_is_told_with_its_outcome_and_isolation() -> None:
    events: list[Event] = []
    sandbox = ObservedSandbox(sandbox=ScriptSandbox(), observe=events.append)
    found = await sandbox.run(Program(source="wrong"), TASK.checks, Limits())
    assert isinstance(sandbox, Sandbox) and sandbox.isolation == "fake"
    assert [e.name for e in events] == ["sandbox.started", "sandbox.finished"]
    data = json.loads(json.dumps(events[1].data))
    assert (data["outcome"], data["isolation"], data["message"]) == ("FAIL", "fake", found.message)
