"""The real client in front of a model server that is a function: no sockets, every habit."""

from __future__ import annotations

import json
from typing import Any

import httpx

from atlas.llm.client import OpenAIClient
from atlas.llm.retry import RetryPolicy
from atlas.protocols import Sampling
from atlas.types import Message
from tests.support.fake_model import FakeModel

URL = "http://model.test"
KEY = "sk-fake-0123456789"
ASK = [Message(role="user", content="Write a haiku.")]
EAGER = RetryPolicy(attempts=3, base_s=0.0)

Answer = httpx.Response | Exception


class Wire:
    """`FakeModel` behind httpx.MockTransport. `script` answers the next POSTs; None there lets the model answer."""

    def __init__(self, **habits: Any) -> None:
        self.model = FakeModel(**habits)
        self.requests: list[httpx.Request] = []
        self.script: list[Answer | None] = []
        self.transport = httpx.MockTransport(self.handle)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.script.pop(0) if self.script and request.method == "POST" else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        body = json.loads(request.content) if request.content else None
        status, reply, _ = self.model.route(request.url.path, request.headers.get("authorization"), body)
        return httpx.Response(status, json=reply)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(r.content) for r in self.requests if r.content]

    async def open(self, *script: Answer | None, key: str | None = KEY, url: str = URL, **options: Any) -> OpenAIClient:
        """A client that has probed; `script` is for what it asks after that."""
        client = await OpenAIClient.open(url, key, transport=self.transport, retry=EAGER, **options)
        self.requests.clear()
        self.script = list(script)
        return client


def sampling(n: int, **changes: Any) -> Sampling:
    return Sampling(**{"n": n, "temperature": 0.8, "seed": 50, "max_tokens": 40, **changes})


def status(code: int, message: str = "busy", **headers: str) -> httpx.Response:
    return httpx.Response(
        code, json={"error": {"message": message}}, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
