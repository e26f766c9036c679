"""The routes over a solver that does as it is told: what clients send, and what they get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from atlas.types import Budget
from tests.support.clients import in_process, quick
from tests.support.fakes import REASON, SECRET, FakeAtlas

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def atlas() -> FakeAtlas:
    return FakeAtlas()


@pytest.fixture
async def client(atlas: FakeAtlas) -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(quick(), atlas) as opened:
        yield opened


async def post(client: httpx.AsyncClient, prompt: str, wait: int | None = 20, **fields: Any) -> httpx.Response:
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return await client.post("/v1/tasks", json={"prompt": prompt, **fields}, headers=headers)


async def solved(client: httpx.AsyncClient, prompt: str, **fields: Any) -> dict[str, Any]:
    answer = await post(client, prompt, **fields)
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:atlas:problem:{code}")
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


async def test_a_task_is_accepted_and_found_again(client: httpx.AsyncClient) -> None:
    accepted = await post(client, "sleep 30", wait=None, labels={"team": "red"}, seed=7)
    assert accepted.status_code == 202
    task = accepted.json()
    assert accepted.headers["location"] == f"/v1/tasks/{task['id']}"
    assert "preference-applied" not in accepted.headers
    assert (task["status"], task["outcome"], task["seed"]) == ("queued", None, 7)
    found = await client.get(accepted.headers["location"])
    assert found.json()["labels"] == {"team": "red"}


async def test_waiting_answers_with_the_finished_task(client: httpx.AsyncClient) -> None:
    answer = await post(client, "verify", checks=["f(2) == 4"])
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=20")
    task = answer.json()
    assert (task["status"], task["outcome"], task["runs"]) == ("completed", "verified", 1)
    assert task["program"] == task["attempts"][0]["candidates"][0]["program"]
    assert task["verdict"]["isolation"] == "fake" and task["verdict"]["passed"] is True
    assert task["usage"] == {"prompt_tokens": 10, "completion_tokens": 20, "sandbox_runs": 1}
    assert task["provenance"] == {"model": "fake", "atlas_version": "0.1.0", "seed": 0}
    assert task["error"] is None
    assert task["timings"]["created_at"].endswith("Z") and task["timings"]["running_s"] >= 0


async def test_a_wait_that_is_over_leaves_the_task_running(client: httpx.AsyncClient) -> None:
    answer = await post(client, "sleep 30", wait=0)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")
    assert answer.json()["status"] in ("queued", "in_progress")


async def test_a_long_wait_is_cut_and_says_so() -> None:
    async with in_process(quick(max_wait_s=1)) as client:
        answer = await post(client, "verify", wait=900, checks=["f(2) == 4"])
        assert answer.headers["preference-applied"] == "wait=1"


async def test_a_prefer_that_says_something_else_is_ignored(client: httpx.AsyncClient) -> None:
    body = {"prompt": "sleep 30"}
    for prefer in ("respond-async", "wait", "wait=soon", "waiting=3", "wait=-1"):
        answer = await client.post("/v1/tasks", json=body, headers={"Prefer": prefer})
        assert answer.status_code == 202 and "preference-applied" not in answer.headers, prefer


async def test_reading_a_task_may_wait_too(client: httpx.AsyncClient) -> None:
    accepted = await post(client, "sleep 0.2", wait=None, checks=["f(2) == 4"])
    found = await client.get(accepted.headers["location"], headers={"Prefer": "respond-async, wait=20"})
    assert (found.json()["status"], found.headers["preference-applied"]) == ("completed", "wait=20")


async def test_every_candidate_is_told_cheapest_first(client: httpx.AsyncClient) -> None:
    task = await solved(client, "verify", checks=["f(2) == 4"])
    page = (await client.get(f"/v1/tasks/{task['id']}/candidates")).json()
    assert [(c["id"], c["rank"], c["picked"], c["cost"]) for c in page["data"]] == [
        ("candidate_0_1", 1, True, -1.5), ("candidate_0_0", 2, False, None),
    ]
    first, second = page["data"]
    assert (first["mean_logprob"], first["tokens"], first["p_pass"]) == (-1.0, 2, 0.9)
    assert second["problem"] == "could not be scored"
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == (
        "list", "candidate_0_1", "candidate_0_0", False,
    )


async def test_an_unsolved_task_is_completed(client: httpx.AsyncClient) -> None:
    task = await solved(client, "unsolved", checks=["f(2) == 4"])
    assert (task["status"], task["outcome"], task["error"]) == ("completed", "unsolved", None)
    assert task["reason"] == REASON
    check = task["verdict"]["checks"][0]
    assert (check["outcome"], check["expected"], check["actual"], check["message"]) == ("FAIL", "4", "5", "wrong")
    assert task["verdict"]["message"] == "check 0 did not pass"


async def test_a_task_without_checks_is_unchecked(client: httpx.AsyncClient) -> None:
    assert (await solved(client, "verify"))["outcome"] == "unchecked"


async def test_interrupted_by_infrastructure_keeps_what_was_paid_for(client: httpx.AsyncClient) -> None:
    task = await solved(client, "interrupt")
    assert (task["status"], task["outcome"]) == ("failed", "interrupted")
    assert task["error"] == {"code": "model-unavailable", "detail": "connection refused"}
    assert len(task["attempts"][0]["candidates"]) == 2


@pytest.mark.parametrize("prompt", ["boom", "nan"])
async def test_our_own_failure_ends_the_task_and_tells_no_secrets(client: httpx.AsyncClient, prompt: str) -> None:
    task = await solved(client, prompt)
    assert (task["status"], task["outcome"], task["error"]["code"]) == ("failed", "interrupted", "internal-error")
    assert "inside" not in json.dumps(task)


@pytest.mark.parametrize("prompt", ["verify", "unsolved", "hidden-fails"])
async def test_hidden_checks_show_nowhere(client: httpx.AsyncClient, prompt: str) -> None:
    hidden = [f"f(3) == '{SECRET}'", {"kind": "stdio", "stdin": SECRET, "stdout": SECRET}]
    task = await solved(client, prompt, checks=["f(2) == 4"], hidden_checks=hidden)
    path = f"/v1/tasks/{task['id']}"
    texts = [json.dumps(task), (await client.get("/v1/tasks")).text]
    texts += [(await client.get(path + end)).text for end in ("", "/events", "/candidates")]
    texts.append((await client.post(path + "/cancel")).text)
    for text in texts:
        assert SECRET not in text
    assert task["hidden_checks"] == 2 and len(task["checks"]) == 1
    outcome = "PASS" if prompt == "verify" else "FAIL"
    told = [{k: v for k, v in check.items() if v is not None} for check in task["verdict"]["checks"][1:]]
    assert told == [{"index": i, "outcome": outcome, "hidden": True, "truncated": False} for i in (1, 2)]


async def test_checks_may_be_plain_python_or_objects(client: httpx.AsyncClient) -> None:
    call = {"kind": "call", "call": "f(2)", "expected": "4"}
    stdio = {"kind": "stdio", "stdin": "2", "stdout": "4"}
    given: list[Any] = ["f(2) == 4", "x = f(2)\nassert x == 4", call, stdio]
    task = await solved(client, "verify", checks=given)
    codes = [check.get("code") for check in task["checks"]]
    assert codes == ["assert f(2) == 4", "x = f(2)\nassert x == 4", None, None]
    assert all(task["checks"][i].items() >= given[i].items() for i in (2, 3))


async def test_a_budget_in_part_takes_the_services_defaults_for_the_rest() -> None:
    atlas = FakeAtlas()
    atlas.solver.budget = Budget(candidates=9, rounds=5)
    async with in_process(quick(), atlas) as client:
        task = await solved(client, "verify", budget={"rounds": 2})
        assert task["budget"] == Budget(candidates=9, rounds=2).model_dump()
        assert (await solved(client, "verify"))["budget"] == atlas.solver.budget.model_dump()
    assert atlas.solver.budgets == [Budget(candidates=9, rounds=2), atlas.solver.budget]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/prompt"),
        ({"prompt": ""}, "/prompt"),
        ({"prompt": " \n\t "}, "/prompt"),
        ({"prompt": "x" * 100_001}, "/prompt"),
        ({"prompt": 3}, "/prompt"),
        ({"prompt": "x", "unknown": 1}, "/unknown"),
        ({"prompt": "x", "a/b~c": 1}, "/a~1b~0c"),
        ({"prompt": "x", "language": "cobol"}, "/language"),
        ({"prompt": "x", "entry_point": "1f"}, "/entry_point"),
        ({"prompt": "x", "budget": {"rounds": 0}}, "/budget/rounds"),
        ({"prompt": "x", "budget": {"euros": 1}}, "/budget/euros"),
        ({"prompt": "x", "limits": {"wall_s": 1e9}}, "/limits/wall_s"),
        ({"prompt": "x", "seed": -1}, "/seed"),
        ({"prompt": "x", "labels": {"a": 1}}, "/labels/a"),
        ({"prompt": "x", "checks": ["f(2) =="]}, "/checks/0"),
        ({"prompt": "x", "checks": ["f(2) == 4", "1 == 1"]}, "/checks/1"),
        ({"prompt": "x", "checks": ["(" * 10_000]}, "/checks/0"),
        ({"prompt": "x", "checks": ["a\0b"]}, "/checks/0"),
        ({"prompt": "x", "checks": [""]}, "/checks/0"),
        ({"prompt": "x", "checks": [3]}, "/checks/0"),
        ({"prompt": "x", "checks": [{"kind": "magic"}]}, "/checks/0"),
        ({"prompt": "x", "checks": [{"kind": ["call"]}]}, "/checks/0"),
        ({"prompt": "x", "checks": [{"kind": "call"}]}, "/checks/0/call"),
        ({"prompt": "x", "checks": [{"kind": "call", "call": "f(2)", "stdin": ""}]}, "/checks/0/stdin"),
        ({"prompt": "x", "checks": [{"kind": "call", "call": "2"}]}, "/checks/0"),
        ({"prompt": "x", "hidden_checks": ["f(2) == 4", {"kind": "assert", "code": "assert"}]}, "/hidden_checks/1"),
        ({"prompt": "x", "checks": "f(2) == 4"}, "/checks"),
        ({"prompt": "x", "checks": ["f(2)"]}, "/checks/0"),
        ({"prompt": "x", "language": "bash", "checks": ["f(2) == 4"]}, "/checks/0"),
        ({"prompt": "x", "checks": ["f(2) == 4"] * 1_001}, "/checks"),
        ([], ""),
    ],
)
async def test_a_bad_body_gets_a_pointer_and_a_sentence(client: httpx.AsyncClient, body: Any, pointer: str) -> None:
    answer = await client.post("/v1/tasks", json=body)
    errors = problem(answer, 422, "invalid-request")["errors"]
    assert [error["pointer"] for error in errors] == [pointer]
    assert len(errors[0]["detail"]) > 5


async def test_only_so_many_errors_are_told(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks", json={"prompt": "x", "checks": [3] * 900})
    assert len(problem(answer, 422, "invalid-request")["errors"]) == 50


@pytest.mark.parametrize("content", [b"{", b"", b"nul", b"[" * 100_000, b'{"seed": ' + b"1" * 5_000 + b"}", b"\xff"])
async def test_a_body_that_is_not_json(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/v1/tasks", content=content, headers={"Content-Type": "application/json"})
    if content == b"":
        problem(answer, 422, "invalid-request")
    else:
        problem(answer, 400, "malformed-body")


@pytest.mark.parametrize("number", [b"Infinity", b"-Infinity", b"NaN", b"1e999"])
async def test_numbers_that_are_none_are_refused(client: httpx.AsyncClient, number: bytes) -> None:
    for body in (
        b'{"prompt": "x", "checks": [{"kind": "call", "call": "f(2)", "expected": "4", "abs_tol": %s}]}',
        b'{"prompt": "x", "budget": {"seconds": %s}}',
        b'{"prompt": "x", "seed": %s}',
    ):
        answer = await client.post("/v1/tasks", content=body % number, headers={"Content-Type": "application/json"})
        problem(answer, 422, "invalid-request")
    assert (await client.get("/v1/tasks")).json()["data"] == []


async def test_a_hidden_check_that_cannot_be_read_is_not_quoted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks", json={"prompt": "x", "hidden_checks": [f"{SECRET} + 1", f"f('{SECRET}"]})
    assert len(problem(answer, 422, "invalid-request")["errors"]) == 2
    assert SECRET not in answer.text


async def test_text_that_is_no_unicode_is_refused(client: httpx.AsyncClient) -> None:
    content = b'{"prompt": "\\ud800", "labels": {"a": "\\udfff"}}'
    answer = await client.post("/v1/tasks", content=content, headers={"Content-Type": "application/json"})
    problem(answer, 422, "invalid-request")


@pytest.mark.parametrize("media", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_only_json_is_read(client: httpx.AsyncClient, media: str | None) -> None:
    headers = {} if media is None else {"Content-Type": media}
    problem(await client.post("/v1/tasks", content=b'{"prompt": "x"}', headers=headers), 415, "unsupported-media-type")


async def test_strange_unicode_survives(client: httpx.AsyncClient) -> None:
    prompt = "verify \0 ünïcode 🎈 \u202e \x1b[31m"
    task = await solved(client, prompt, labels={"a": "\0🎈"})
    assert (task["prompt"], task["labels"]) == (prompt, {"a": "\0🎈"})
    assert (await client.get("/v1/tasks")).json()["data"][0]["prompt_start"] == prompt.replace("\0", "\ufffd")


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    for path in ("/v1/tasks/task_nobody", "/v1/tasks/task_nobody/events", "/v1/tasks/task_nobody/candidates", "/none"):
        problem(await client.get(path), 404, "not-found")
    problem(await client.post("/v1/tasks/task_nobody/cancel"), 404, "not-found")
    refused = await client.put("/v1/tasks")
    problem(refused, 405, "method-not-allowed")
    assert {method.strip() for method in refused.headers["allow"].split(",")} >= {"GET", "POST"}


async def test_a_full_queue_says_when_to_come_back() -> None:
    async with in_process(quick(max_queued=1)) as client:
        running = await post(client, "sleep 30", wait=None)
        while (await client.get(running.headers["location"])).json()["status"] == "queued":
            await asyncio.sleep(0.01)
        assert (await post(client, "sleep 30", wait=None)).status_code == 202
        refused = await post(client, "sleep 30", wait=None)
        problem(refused, 503, "queue-full")
        assert int(refused.headers["retry-after"]) > 0


async def test_an_idempotency_key_is_one_task(client: httpx.AsyncClient, atlas: FakeAtlas) -> None:
    headers = {"Idempotency-Key": "once", "Prefer": "wait=20"}
    first = await client.post("/v1/tasks", json={"prompt": "verify", "seed": 0}, headers=headers)
    again = await client.post("/v1/tasks", json={"seed": 0, "prompt": "verify"}, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json() and len(atlas.solver.begun) == 1
    assert "idempotent-replayed" not in first.headers and again.headers["idempotent-replayed"] == "true"
    other = await client.post("/v1/tasks", json={"prompt": "verify", "seed": 1}, headers=headers)
    problem(other, 422, "idempotency-conflict")
    assert len(atlas.solver.begun) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "ü"])
async def test_an_idempotency_key_must_be_readable(client: httpx.AsyncClient, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = await client.post("/v1/tasks", json={"prompt": "verify"}, headers=headers)  # type: ignore[arg-type]
    problem(answer, 400, "bad-header")


async def test_cancelling_stops_the_solver_once(client: httpx.AsyncClient, atlas: FakeAtlas) -> None:
    task = (await post(client, "sleep 30", wait=None)).json()
    while not atlas.solver.begun:
        await asyncio.sleep(0.01)
    for _ in range(2):
        answer = await client.post(f"/v1/tasks/{task['id']}/cancel")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["outcome"]) == ("cancelled", "cancelled")
    assert atlas.solver.cancelled == [task["id"]]


async def test_cancelling_what_has_ended_changes_nothing(client: httpx.AsyncClient) -> None:
    task = await solved(client, "verify", checks=["f(2) == 4"])
    answer = await client.post(f"/v1/tasks/{task['id']}/cancel")
    assert (answer.status_code, answer.json()) == (200, task)


async def test_a_queued_task_is_cancelled_without_being_run(client: httpx.AsyncClient, atlas: FakeAtlas) -> None:
    await post(client, "sleep 30", wait=None)
    waiting = (await post(client, "verify", wait=None)).json()
    answer = await client.post(f"/v1/tasks/{waiting['id']}/cancel")
    assert answer.json()["status"] == "cancelled"
    assert waiting["id"] not in atlas.solver.begun


async def test_lists_are_paged_and_filtered(client: httpx.AsyncClient) -> None:
    ids = [(await solved(client, "verify"))["id"] for _ in range(3)]
    unsolved = (await solved(client, "unsolved", checks=["f(2) == 4"]))["id"]
    page = (await client.get("/v1/tasks", params={"limit": 2})).json()
    assert ([t["id"] for t in page["data"]], page["has_more"]) == ([unsolved, ids[2]], True)
    assert (page["first_id"], page["last_id"]) == (unsolved, ids[2])
    rest = (await client.get("/v1/tasks", params={"limit": 2, "after": page["last_id"]})).json()
    assert ([t["id"] for t in rest["data"]], rest["has_more"]) == ([ids[1], ids[0]], False)
    oldest = (await client.get("/v1/tasks", params={"order": "asc", "limit": 1})).json()
    assert oldest["data"][0]["id"] == ids[0]
    found = (await client.get("/v1/tasks", params={"outcome": "unsolved", "status": "completed"})).json()
    assert [t["id"] for t in found["data"]] == [unsolved]
    none = (await client.get("/v1/tasks", params={"status": "queued"})).json()
    assert none == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("after=x", "after"),
        ("status=odd", "status"), ("outcome=odd", "outcome"), ("sort=up", "sort"),
    ],
)
async def test_a_bad_query_is_named(client: httpx.AsyncClient, query: str, name: str) -> None:
    errors = problem(await client.get(f"/v1/tasks?{query}"), 422, "invalid-request")["errors"]
    assert [error["pointer"] for error in errors] == [f"#{name}"]


async def test_a_solver_that_will_not_stop_does_not_hold_its_task() -> None:
    async with in_process(quick(unwind_s=0.1)) as client:
        task = (await post(client, "stuck 1", wait=None)).json()
        await asyncio.sleep(0.1)
        answer = await client.post(f"/v1/tasks/{task['id']}/cancel")
        assert answer.json()["status"] == "cancelled"


async def test_a_solver_that_forgets_its_deadline_is_stopped() -> None:
    async with in_process(quick(overtime_s=0.1)) as client:
        task = await solved(client, "sleep 30", budget={"seconds": 0.1})
        assert (task["status"], task["outcome"], task["error"]["code"]) == ("failed", "interrupted", "overdue")


async def test_no_more_tasks_run_at_once_than_there_are_workers() -> None:
    atlas = FakeAtlas()
    async with in_process(quick(workers=2), atlas) as client:
        tasks = [(await post(client, "sleep 0.1", wait=None)).headers["location"] for _ in range(5)]
        for path in tasks:
            assert (await client.get(path, headers={"Prefer": "wait=20"})).json()["status"] == "completed"
    assert atlas.solver.most_running == 2


async def test_a_stopped_service_gives_its_tasks_back_and_the_next_runs_them(tmp_path: Path) -> None:
    async with in_process(quick(tmp_path / "atlas.db")) as client:
        task = (await post(client, "sleep 0.5", wait=None, checks=["f(2) == 4"])).json()
        await asyncio.sleep(0.1)
    atlas = FakeAtlas()
    async with in_process(quick(tmp_path / "atlas.db"), atlas) as client:
        found = await client.get(f"/v1/tasks/{task['id']}", headers={"Prefer": "wait=20"})
        assert (found.json()["status"], found.json()["outcome"], found.json()["runs"]) == ("completed", "verified", 1)
        events = (await client.get(f"/v1/tasks/{task['id']}/events")).text
    assert events.count("event: task.started") == 2 and events.count("event: task.requeued") == 1
    assert events.count("event: task.completed") == 1


async def test_the_schema_tells_of_every_route(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert set(schema["paths"]) == {
        "/v1/tasks", "/v1/tasks/{task_id}", "/v1/tasks/{task_id}/cancel", "/v1/tasks/{task_id}/candidates",
        "/v1/tasks/{task_id}/events", "/livez", "/readyz", "/version",
    }
    checks = schema["components"]["schemas"]["TaskRequest"]["properties"]["checks"]["items"]
    assert {"type": "string", "maxLength": 1_000_000, "minLength": 1} in checks["oneOf"]
    for operations in schema["paths"].values():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"]
    text = json.dumps(schema)
    named = {reference.split('"')[0] for reference in text.split('"#/components/schemas/')[1:]}
    assert named == set(schema["components"]["schemas"])


async def test_every_answer_carries_an_id_and_safe_headers(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/none", "/v1/tasks"):
        answer = await client.get(path, headers={"X-Request-Id": "mine-1"})
        assert answer.headers["x-request-id"] == "mine-1"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
    strange = await client.get("/livez", headers={"X-Request-Id": "no spaces, please"})
    assert strange.headers["x-request-id"].startswith("req_")
