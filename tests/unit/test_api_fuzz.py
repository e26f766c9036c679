"""Whatever is posted, the service answers: a task or a problem, never a failure of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clients import in_process, quick

NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
LINES = ["f(2) == 4", "f(", "assert f() == 1", "", "\0", "4", "f(2)", "x" * 300]
SOURCE = st.sampled_from(LINES) | st.text(max_size=30)
NUMBER = st.floats() | st.integers()
CHECK = (
    SOURCE
    | st.fixed_dictionaries(
        {"kind": st.sampled_from(["call", "stdio", "assert", "odd"])},
        optional={
            "call": SOURCE, "expected": SOURCE, "code": SOURCE, "setup": SOURCE,
            "stdin": st.text(), "stdout": st.text(),
            "compare": st.sampled_from(["equal", "raises", "isinstance", "odd"]), "abs_tol": st.floats(),
        },
    )
    | NOISE
)
BODY = (
    st.fixed_dictionaries(
        {"prompt": st.text(max_size=50) | NOISE},
        optional={
            "language": st.sampled_from(["python", "javascript", "cobol"]), "entry_point": st.text(max_size=10),
            "checks": st.lists(CHECK, max_size=4), "hidden_checks": st.lists(CHECK, max_size=4),
            "budget": st.dictionaries(st.sampled_from(["rounds", "seconds", "tokens", "x"]), NUMBER),
            "limits": st.dictionaries(st.sampled_from(["wall_s", "pids", "x"]), NUMBER),
            "seed": NUMBER, "labels": st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
        },
    )
    | NOISE
)


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[asyncio.Runner, httpx.AsyncClient]]:
    """One service for every example: what one leaves behind, the next must live with."""
    with asyncio.Runner() as runner:
        opened = in_process(quick(max_queued=10_000))
        yield runner, runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODY, wait=st.booleans())
def test_any_json_gets_a_task_or_a_problem(
    service: tuple[asyncio.Runner, httpx.AsyncClient], body: Any, wait: bool
) -> None:
    runner, client = service
    headers = {"Content-Type": "application/json"} | ({"Prefer": "wait=10"} if wait else {})
    answer = runner.run(client.post("/v1/tasks", content=json.dumps(body).encode(), headers=headers))
    assert answer.status_code in (200, 202, 400, 422), answer.text
    if answer.status_code < 300:
        found = runner.run(client.get(answer.headers["location"]))
        assert found.status_code == 200 and found.json()["prompt"] == body["prompt"]
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        for error in answer.json().get("errors", []):
            assert error["pointer"] == "" or error["pointer"].startswith("/")


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60) | st.text(alphabet='{}[]",:0189eE+-.truefalsn\\u ', max_size=60).map(str.encode))
def test_any_bytes_get_a_problem(service: tuple[asyncio.Runner, httpx.AsyncClient], content: bytes) -> None:
    runner, client = service
    answer = runner.run(client.post("/v1/tasks", content=content, headers={"Content-Type": "application/json"}))
    assert answer.status_code in (400, 422), (content, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
