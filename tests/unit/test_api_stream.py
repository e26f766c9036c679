"""A task's events as Server-Sent Events, once it has ended; live streams are in the integration tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api.errors import BadHeader
from api.stream import read_last_event_id
from tests.support.clients import in_process, quick, read_events

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(quick(ping_s=0.1)) as opened:
        yield opened


async def finished(client: httpx.AsyncClient) -> str:
    body = {"prompt": "verify", "checks": ["f(2) == 4"]}
    answer = await client.post("/v1/tasks", json=body, headers={"Prefer": "wait=20"})
    return f"/v1/tasks/{answer.json()['id']}"


async def test_a_stream_tells_everything_and_ends_with_the_task(client: httpx.AsyncClient) -> None:
    path = await finished(client)
    answer = await client.get(f"{path}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    events = read_events(answer.text)
    assert [event["name"] for event in events] == [
        "task.queued", "task.started", "attempt.started", "sandbox.finished", "task.completed",
    ]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert events[-1]["data"]["task"] == (await client.get(path)).json()
    assert all(event["at"].endswith("Z") for event in events)


async def test_the_wire_carries_ids_and_names(client: httpx.AsyncClient) -> None:
    text = (await client.get(f"{await finished(client)}/events")).text
    assert "retry: 2000\n" in text
    for seq, name in enumerate(["task.queued", "task.started"], start=1):
        assert f"event: {name}\ndata: {{\"seq\":{seq}," in text and f"\nid: {seq}\n\n" in text
    assert all(line == "" or line.split(":")[0] in ("", "event", "data", "id", "retry") for line in text.split("\n"))


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_stream_resumes_behind_what_was_seen(client: httpx.AsyncClient, by_header: bool) -> None:
    path = await finished(client)
    headers = {"Last-Event-ID": "3"} if by_header else {}
    params = {} if by_header else {"starting_after": 3}
    answer = await client.get(f"{path}/events", headers=headers, params=params)
    assert [event["seq"] for event in read_events(answer.text)] == [4, 5]


@pytest.mark.parametrize("seen", ["5", "999"])
async def test_nothing_more_to_come_stops_a_browser_from_reconnecting(client: httpx.AsyncClient, seen: str) -> None:
    answer = await client.get(f"{await finished(client)}/events", headers={"Last-Event-ID": seen})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_bad_last_event_id_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{await finished(client)}/events", headers={"Last-Event-ID": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-header")


@pytest.mark.parametrize("value", ["", "-1", "1.5", " 1", "9" * 19, "٣"])
def test_only_plain_numbers_name_events(value: str) -> None:
    with pytest.raises(BadHeader):
        read_last_event_id(value)


async def test_a_cancelled_queued_task_has_a_whole_stream(client: httpx.AsyncClient) -> None:
    await client.post("/v1/tasks", json={"prompt": "sleep 30"})
    waiting = (await client.post("/v1/tasks", json={"prompt": "verify"})).headers["location"]
    await client.post(f"{waiting}/cancel")
    events = read_events((await client.get(f"{waiting}/events")).text)
    assert [event["name"] for event in events] == ["task.queued", "task.cancelled"]
    assert events[-1]["data"]["task"]["outcome"] == "cancelled"


async def test_an_idle_stream_is_pinged(client: httpx.AsyncClient) -> None:
    task = (await client.post("/v1/tasks", json={"prompt": "sleep 0.5"})).headers["location"]
    text = (await client.get(f"{task}/events")).text
    assert text.count(": ping\n\n") >= 2
    assert read_events(text)[-1]["name"] == "task.completed"


async def test_a_stream_that_is_read_live_misses_nothing(client: httpx.AsyncClient) -> None:
    """Many streams begun at different moments all see the same events."""
    task = (await client.post("/v1/tasks", json={"prompt": "sleep 0.3"})).headers["location"]

    async def read(delay: float) -> list[str]:
        await asyncio.sleep(delay)
        return [json.dumps(event) for event in read_events((await client.get(f"{task}/events")).text)]

    streams = await asyncio.gather(*(read(i * 0.05) for i in range(8)))
    assert len(streams[0]) == 5
    assert all(stream == streams[0] for stream in streams)
