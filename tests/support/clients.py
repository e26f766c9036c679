"""Talking to the service in tests: in process without a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from api.app import create_app
from api.config import ApiConfig
from tests.support.fakes import FakeAtlas, opener


def quick(database: Path | None = None, **changes: object) -> ApiConfig:
    """A configuration for tests: short times, and tasks in memory unless a database is named."""
    settings: dict[str, object] = {
        "database_path": database, "lease_s": 3.0, "poll_s": 0.05, "shutdown_grace_s": 0.2, "unwind_s": 0.2,
    }
    return ApiConfig(**{**settings, **changes})  # type: ignore[arg-type]


@asynccontextmanager
async def in_process(config: ApiConfig, atlas: FakeAtlas | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that runs in this event loop."""
    app = create_app(config, opener(atlas or FakeAtlas()))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", timeout=30) as client:
            yield client


def read_events(text: str) -> list[dict[str, Any]]:
    """The data of every event in a Server-Sent Events text, in order; comments and what is not yet whole left out."""
    events = []
    for block in text.split("\n\n")[:-1]:
        lines = [line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: ")]
        if lines:
            events.append(json.loads("\n".join(lines)))
    return events
