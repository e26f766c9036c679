"""Every way a request can fail, and the one table that turns an exception into an answer (RFC 9457).

ApiError
├── NotFound               no such task, or no such address
├── Unauthenticated        no API key, or a wrong one
├── CrossOrigin            a browser page of another origin sent it
├── WrongHost              the Host header names somebody else (DNS rebinding)
├── UnsupportedMedia       the body is not application/json
├── BodyTooLarge           the body is over the limit
├── BadHeader              a header that cannot be read
└── Stopping               the service is shutting down
StoreError (api.store)     the database, a full queue, an Idempotency-Key used again with another body
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from api.pointers import MAX_ERRORS, pointer
from api.store import IdempotencyConflict, QueueFull, StoreError, StoreFull, StoreUnavailable
from atlas.errors import AtlasError, ModelReplyError, ModelUnavailable, RankingError
from sandbox.errors import InvalidCheck, SandboxBusy, SandboxError, SandboxUnavailable

log = logging.getLogger("atlas.api")


class ApiError(Exception):
    """Base of what the service itself refuses. The message is shown to the client."""


class NotFound(ApiError):
    """No such task, or no such address."""


class Unauthenticated(ApiError):
    """No API key, or a wrong one."""


class CrossOrigin(ApiError):
    """A browser sent it for a page of another origin."""


class WrongHost(ApiError):
    """The Host header names somebody else: a browser led here by DNS rebinding."""


class UnsupportedMedia(ApiError):
    """The body is not application/json."""


class BodyTooLarge(HTTPException):
    """The body is over the limit. An HTTPException, because the framework lets only those out of body reading."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The body is larger than {limit} bytes.")

    def __str__(self) -> str:
        return self.detail


class BadHeader(ApiError):
    """A header that cannot be read."""


class Stopping(ApiError):
    """The service is shutting down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem.

    `shown` is False where the exception's text is for the log and not for the client. `unread` is True where the
    answer comes before the body was read: then the connection is closed, or the rest would have to be read for naught.
    """

    status: int
    code: str
    title: str
    retry_after_s: int | None = None
    shown: bool = True
    unread: bool = False


INTERNAL = Kind(status=500, code="internal-error", title="Internal error", shown=False)

KINDS: dict[type[Exception], Kind] = {
    BadHeader: Kind(status=400, code="bad-header", title="A header cannot be read"),
    Unauthenticated: Kind(status=401, code="unauthenticated", title="An API key is needed", unread=True),
    CrossOrigin: Kind(status=403, code="cross-origin", title="Cross-origin requests are refused", unread=True),
    NotFound: Kind(status=404, code="not-found", title="Not found"),
    BodyTooLarge: Kind(status=413, code="payload-too-large", title="The body is too large", unread=True),
    UnsupportedMedia: Kind(
        status=415, code="unsupported-media-type", title="The body must be application/json", unread=True
    ),
    WrongHost: Kind(status=421, code="wrong-host", title="This service does not answer for that host", unread=True),
    IdempotencyConflict: Kind(status=422, code="idempotency-conflict", title="Idempotency-Key used with another body"),
    InvalidCheck: Kind(status=422, code="invalid-check", title="A check cannot be read"),
    ModelReplyError: Kind(status=502, code="model-reply", title="The model's server gave no usable answer"),
    QueueFull: Kind(status=503, code="queue-full", title="The queue is full", retry_after_s=10),
    Stopping: Kind(status=503, code="stopping", title="The service is shutting down", retry_after_s=10),
    ModelUnavailable: Kind(status=503, code="model-unavailable", title="The model is unavailable", retry_after_s=10),
    SandboxBusy: Kind(status=503, code="sandbox-busy", title="The sandbox is busy", retry_after_s=5),
    SandboxUnavailable: Kind(
        status=503, code="sandbox-unavailable", title="The sandbox is unavailable", retry_after_s=10
    ),
    StoreUnavailable: Kind(status=503, code="store-unavailable", title="The database is unavailable", retry_after_s=5),
    StoreFull: Kind(status=507, code="store-full", title="The database's disk is full", retry_after_s=60),
    SandboxError: Kind(status=500, code="sandbox-error", title="The sandbox failed"),
    RankingError: Kind(status=500, code="ranking-error", title="The candidates could not be ranked"),
    AtlasError: INTERNAL,
    ApiError: INTERNAL,
    StoreError: INTERNAL,
    Exception: INTERNAL,
}

_HTTP_CODES = {400: "malformed-body", 404: "not-found", 405: "method-not-allowed"}


def kind_of(exc: BaseException) -> Kind:
    """The row of the table for `exc`: that of its nearest class."""
    return next((KINDS[cls] for cls in type(exc).__mro__ if cls in KINDS), INTERNAL)


def problem(
    scope: Scope,
    kind: Kind,
    detail: str,
    *,
    errors: Sequence[dict[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An RFC 9457 answer. `errors` point into the body (RFC 6901)."""
    body: dict[str, Any] = {
        "type": f"urn:atlas:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": scope["path"],
        "code": kind.code,
        "request_id": scope.get("state", {}).get("request_id"),
    }
    if errors:
        body["errors"] = list(errors)
    sent = dict(headers or {})
    if body["request_id"] is not None:  # an internal error is answered outside of what adds it elsewhere
        sent["X-Request-Id"] = body["request_id"]
    if kind.retry_after_s is not None:
        sent.setdefault("Retry-After", str(kind.retry_after_s))
    if kind.unread:
        sent["Connection"] = "close"
    if kind.status == 401:
        sent["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, kind.status, headers=sent, media_type="application/problem+json")


def problem_of(scope: Scope, exc: Exception) -> JSONResponse:
    """The answer to `exc`, by the table."""
    kind = kind_of(exc)
    return problem(scope, kind, str(exc) if kind.shown else "Something went wrong here; the log has the details.")


def install(app: FastAPI) -> None:
    """Let every exception of `app` be answered by the table."""
    for cls in KINDS:
        app.add_exception_handler(cls, _handle)
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(RequestValidationError, _handle_invalid)


async def _handle(request: Request, exc: Exception) -> JSONResponse:
    if kind_of(exc).status >= 500:
        log.warning("request failed: %s", type(exc).__name__, extra={"action": "request_failed", "detail": str(exc)})
    return problem_of(request.scope, exc)


async def _handle_http(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    code = _HTTP_CODES.get(exc.status_code, "http-error")
    kind = Kind(status=exc.status_code, code=code, title=code.replace("-", " ").capitalize())
    headers = dict(exc.headers or {})
    if exc.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    return problem(request.scope, kind, str(exc.detail), headers=headers)


def _allowed(request: Request) -> list[str]:
    """Every method of a path; the framework names those of one of its routes only."""
    routes = request.app.routes
    methods = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
    asked = {method: {**request.scope, "method": method} for method in methods}
    return [m for m, scope in asked.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)]


async def _handle_invalid(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    found = exc.errors()
    malformed = next((error for error in found if error["type"] == "json_invalid"), None)
    if malformed is not None:
        kind = Kind(status=400, code="malformed-body", title="The body is not JSON")
        return problem(request.scope, kind, f"{malformed['ctx']['error']} at character {malformed['loc'][-1]}.")
    errors = [
        {"pointer": pointer(error["loc"], exc.body), "detail": error["msg"].removeprefix("Value error, ")}
        for error in found[:MAX_ERRORS]
    ]
    kind = Kind(status=422, code="invalid-request", title="The request is not valid")
    first = errors[0]
    return problem(request.scope, kind, f"{first['pointer']}: {first['detail']}", errors=errors)
