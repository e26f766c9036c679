"""The routes: they translate, and decide nothing."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse

from api import checks
from api.errors import BadHeader, Stopping, UnsupportedMedia
from api.ids import new_id
from api.render import PROMPT_START_CHARS, task_summary, task_view
from api.schemas import TaskFilter, TaskRequest
from api.service import VERSION, Service
from api.store import IdempotencyKey, NewTask
from api.stream import read_last_event_id, stream
from api.views import CandidateView, Page, TaskSummary, TaskView

CANCEL_WAIT_S = 5.0
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


class JsonRoute(APIRoute):
    """A route whose body, where it takes one, is application/json and nothing else.

    A browser can send any other type across origins without asking first.
    """

    def get_route_handler(self) -> Any:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if self.body_field is not None and media != "application/json":
                raise UnsupportedMedia("Send the body as `Content-Type: application/json`.")
            return await handle(request)

        return checked


router = APIRouter(prefix="/v1", route_class=JsonRoute)
probes = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


@router.post("/tasks", status_code=202, responses={200: {"model": TaskView}})
async def create_task(
    request: Request,
    response: Response,
    body: TaskRequest,
    prefer: Annotated[str | None, Header()] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> TaskView:
    """Post a task: 202 at once, or with `Prefer: wait=N` as soon as it ended, which is then 200."""
    service = _service(request)
    if service.stopping.is_set():
        raise Stopping("The service is shutting down.")
    spec, kept = await to_thread.run_sync(checks.read, body, service.budget)
    task = NewTask(
        id=new_id("task"), prompt_start=spec.prompt[:PROMPT_START_CHARS].replace("\0", "\ufffd"),
        language=spec.language, labels=spec.labels, request=kept,
    )
    key = _idempotency_key(request.state.holder, idempotency_key, body)
    record, replayed = await service.store.add(task, max_queued=service.config.max_queued, key=key)
    service.worker.wake()
    response.headers["Location"] = f"/v1/tasks/{record.id}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    wait_s = _wait_s(service, prefer, response)
    if wait_s is not None:
        record = await service.wait(record.id, wait_s)
    if record.status.terminal:
        response.status_code = 200
    return task_view(record)


@router.get("/tasks")
async def list_tasks(request: Request, filter_: Annotated[TaskFilter, Query()]) -> Page[TaskSummary]:
    """List tasks, newest first unless asked otherwise."""
    found, has_more = await _service(request).store.page(filter_.query())
    data = [task_summary(summary) for summary in found]
    return Page(
        data=data, first_id=data[0].id if data else None, last_id=data[-1].id if data else None, has_more=has_more
    )


@router.get("/tasks/{task_id}")
async def get_task(
    request: Request, response: Response, task_id: str, prefer: Annotated[str | None, Header()] = None
) -> TaskView:
    """Read a task; with `Prefer: wait=N`, once it ended or N seconds went by."""
    service = _service(request)
    wait_s = _wait_s(service, prefer, response)
    return task_view(await (service.get(task_id) if wait_s is None else service.wait(task_id, wait_s)))


@router.post("/tasks/{task_id}/cancel")
async def cancel_task(request: Request, task_id: str) -> TaskView:
    """Cancel a task; one that ended stays as it is. Answers once it stopped, or after five seconds."""
    service = _service(request)
    await service.get(task_id)
    await service.store.request_cancel(task_id)
    service.worker.cancel(task_id)
    service.bell.ring(task_id)
    return task_view(await service.wait(task_id, CANCEL_WAIT_S))


@router.get("/tasks/{task_id}/candidates")
async def list_candidates(request: Request, task_id: str) -> Page[CandidateView]:
    """Every candidate of a task that ended, round by round, cheapest first. Before that, the events tell of them."""
    task = task_view(await _service(request).get(task_id))
    # One that was run as an earlier attempt's second choice stands in both: once, as it was run.
    data = list({candidate.id: candidate for attempt in task.attempts for candidate in attempt.candidates}.values())
    return Page(
        data=data, first_id=data[0].id if data else None, last_id=data[-1].id if data else None, has_more=False
    )


@router.get(
    "/tasks/{task_id}/events",
    response_model=None,
    responses={200: {"content": {"text/event-stream": {}}}, 204: {"description": "Nothing will follow."}},
)
async def task_events(
    request: Request,
    task_id: str,
    last_event_id: Annotated[str | None, Header()] = None,
    starting_after: Annotated[int, Query(ge=0, lt=2**53)] = 0,
) -> Response:
    """Stream a task's events from the start, or behind Last-Event-ID (or `starting_after`).

    204 where nothing will follow: it tells a browser's EventSource to stop reconnecting.
    """
    service = _service(request)
    record = await service.get(task_id)
    after = starting_after if last_event_id is None else read_last_event_id(last_event_id)
    if record.status.terminal and after >= record.last_seq:
        return Response(status_code=204)
    headers = {"X-Accel-Buffering": "no"}
    return EventSourceResponse(stream(service, task_id, after), headers=headers)


@probes.get("/livez")
async def livez() -> dict[str, str]:
    """Say that the process answers. Touches nothing."""
    return {"status": "ok"}


@probes.get("/readyz", responses={503: {}})
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """Say whether work can be done: a known program is really scored and one really run. Cached for seconds."""
    service = _service(request)
    parts = await service.readiness.parts()
    ready = all(ok for ok, _ in parts.values()) and not service.stopping.is_set()
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return {
        "status": "ready" if ready else "not ready",
        "parts": {
            name: {"ok": ok, "detail": detail} if request.state.holder else {"ok": ok}
            for name, (ok, detail) in parts.items()
        },
    }


@probes.get("/version")
async def version(request: Request) -> dict[str, Any]:
    """Say what runs here."""
    told = {"parts": dict(_service(request).info)} if request.state.holder else {}
    return {"version": VERSION, "api": "v1", **told}


def _idempotency_key(holder: str, key: str | None, body: TaskRequest) -> IdempotencyKey | None:
    if key is None:
        return None
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise BadHeader("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    canonical = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    return IdempotencyKey(scope=holder, key=key, body_hash=hashlib.sha256(canonical.encode()).hexdigest())


def _wait_s(service: Service, prefer: str | None, response: Response) -> float | None:
    """How long the client is willing to wait (RFC 7240), as far as we are. A Prefer that cannot be read is ignored."""
    match = _WAIT.search(prefer or "")
    if match is None:
        return None
    seconds = min(float(match[1]), service.config.max_wait_s)
    response.headers["Preference-Applied"] = f"wait={seconds:g}"
    return seconds
