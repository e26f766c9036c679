"""A task's events as Server-Sent Events. Every event was kept before it is sent, so a reconnect loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from api.bell import within
from api.errors import BadHeader
from api.render import event_view, task_view
from api.service import Service
from api.store import StoredEvent

RETRY_MS = 2_000
TERMINAL = ("task.completed", "task.failed", "task.cancelled")


def read_last_event_id(value: str) -> int:
    """The sequence number that a Last-Event-ID names. Raises BadHeader."""
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):
        raise BadHeader("Last-Event-ID is not the id of an event of this stream.")
    return int(value)


async def stream(service: Service, task_id: str, after: int) -> AsyncIterator[bytes]:
    """The events behind `after` as they come, pings in between; ends behind the terminal one, or when we stop."""
    loop = asyncio.get_running_loop()
    yield format_sse_event(comment="the events of one task", retry=RETRY_MS)
    sent_at = loop.time()
    with service.bell.listen(task_id) as rung:
        while True:
            rung.clear()
            for event in await service.store.events(task_id, after=after):
                yield await _encode(service, task_id, event)
                after, sent_at = event.seq, loop.time()
                if event.name in TERMINAL:
                    return
            if service.stopping.is_set():
                return
            if loop.time() - sent_at >= service.config.ping_s:
                yield KEEPALIVE_COMMENT
                sent_at = loop.time()
            await within(rung, min(service.config.poll_s, service.config.ping_s))


async def _encode(service: Service, task_id: str, event: StoredEvent) -> bytes:
    task = task_view(await service.get(task_id)) if event.name in TERMINAL else None
    view = event_view(task_id, event, task)
    return format_sse_event(data_str=view.model_dump_json(), event=event.name, id=str(event.seq))
