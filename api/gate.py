"""What every request passes before anything reads its body: who asks, for whom, from where, and how much.

Pure ASGI, outermost but for error handling. It also gives each request an id, and each answer its safe headers.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from anyio import move_on_after
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.config import LOOPBACK_NAMES, ApiConfig
from api.errors import ApiError, BodyTooLarge, CrossOrigin, Unauthenticated, WrongHost, problem_of
from api.ids import new_id

DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_S = 2.0

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d+)?")
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}")


class Keyring:
    """The API keys, as SHA-256: they are long and random, so a fast hash does."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._digests = [_digest(key.get_secret_value()) for key in keys]

    def holder(self, authorization: str | None) -> str:
        """Who asks: a short name of the key that an Authorization header bears, or ``local`` where no keys are set.

        Raises Unauthenticated. Compares with every key in constant time.
        """
        if not self._digests:
            return "local"
        scheme, _, token = (authorization or "").partition(" ")
        asked = _digest(token.strip())
        matches = [digest for digest in self._digests if hmac.compare_digest(digest, asked)]
        if scheme.lower() != "bearer" or not matches:
            raise Unauthenticated("Send an API key of this service as `Authorization: Bearer <key>`.")
        return matches[0].hex()[:16]


class Gate:
    """The middleware. Paths under /v1 need a key where keys are set; probes and the schema do not.

    Probes tell a stranger yes or no and the version, but no details.
    """

    def __init__(self, app: ASGIApp, config: ApiConfig) -> None:
        self._app = app
        self._keyring = Keyring(config.api_keys)
        self._max_body_bytes = config.max_body_bytes
        self._hosts = _hosts(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id("req")
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        body = _Body(receive, self._max_body_bytes)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                sent["X-Request-Id"] = request_id
                sent["X-Content-Type-Options"] = "nosniff"
                sent.setdefault("Cache-Control", "no-store")
                if sent.get("connection") == "close" and "expect" not in headers:
                    await body.drain()
            await send(message)

        try:
            state["holder"] = self._admit(scope["path"], headers)
        except (ApiError, BodyTooLarge) as exc:
            await problem_of(scope, exc)(scope, receive, answer)
            return
        await self._app(scope, body.receive, answer)

    def _admit(self, path: str, headers: Headers) -> str | None:
        """Who asks; None for a stranger at a path that is open to all. Raises what refuses the request."""
        host = headers.get("host", "")
        if self._hosts and _host_name(host) not in self._hosts:
            raise WrongHost("The Host header names a host that this service does not answer for.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise CrossOrigin("This service answers browser pages of its own origin only.")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise BodyTooLarge(self._max_body_bytes)
        try:
            return self._keyring.holder(headers.get("authorization"))
        except Unauthenticated:
            if path == "/v1" or path.startswith("/v1/"):
                raise
            return None


class _Body:
    """A request's body on its way in: refused where it grows too large, whatever its headers say."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._seen = 0
        self._done = False

    async def receive(self) -> Message:
        """The next part. Raises BodyTooLarge."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            self._done = not message.get("more_body", False)
            if self._seen > self._max_bytes:
                raise BodyTooLarge(self._max_bytes)
        return message

    async def drain(self) -> None:
        """Read on for a while and forget it.

        A connection closed upon unread bytes is reset, and the client might never see why it was refused.
        """
        drained = 0
        with move_on_after(DRAIN_S):
            while not self._done and drained < DRAIN_BYTES:
                message = await self._receive()
                drained += len(message.get("body", b""))
                self._done = not message.get("more_body", False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _hosts(config: ApiConfig) -> Collection[str]:
    """The names that a Host header may hold; empty lets every name pass."""
    if not config.is_loopback and not config.allowed_hosts:
        return ()
    return {name.lower() for name in (*LOOPBACK_NAMES, config.host, *config.allowed_hosts)}


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty where it is none."""
    match = _HOST.fullmatch(host)
    return "" if match is None else match[1].strip("[]").lower()
