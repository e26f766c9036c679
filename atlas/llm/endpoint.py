"""One model server over HTTP: time-outs, bounded retries, one mapping of errors, and a key that stays secret."""

from __future__ import annotations

import ipaddress
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx

from atlas.errors import ConfigError, ModelError, ModelReplyError, ModelUnavailable
from atlas.llm import replies
from atlas.llm.replies import Reply
from atlas.llm.retry import NEVER_CONNECTED, RetryPolicy, parse_retry_after, retry_delay, worth_retrying

log = logging.getLogger(__name__)

_MAX_BODY = 256 * 1024 * 1024
"""Bytes of one reply: 64 choices of 2,000 tokens with states fit; a server that never ends does not fill the memory."""


LISTING_SECONDS = 30.0
"""For a GET, which only lists models: it needs no thought, so that a server silent for longer is known not to work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. Answers are not streamed, so `read` bounds the silence while the model thinks.

    `total` bounds one request, even one that trickles; `deadline` a call with all its retries and waits.
    """

    connect: float = 5.0
    read: float = 600.0
    total: float = 900.0
    deadline: float = 1200.0


class Refused(ModelReplyError):
    """The server understood and said no: a status that asking again would not change."""

    def __init__(self, message: str, *, status: int, says: str) -> None:
        super().__init__(message)
        self.status = status
        self.says = says


class _Failure(Exception):
    """A failed request, and what the retry decision needs to know of it."""

    def __init__(self, error: ModelError, *, status: int | None, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.retry_after_s = retry_after_s


class Endpoint:
    """Sends requests to one base URL. Safe to use from many tasks at once; `concurrency` of them are sent at a time.

    Cancelling a call closes its connection, which is how a server learns to stop. Redirects are never followed: the key
    is meant for the host it was configured for.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        timeouts: Timeouts,
        retry: RetryPolicy,
        concurrency: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = _base_url(base_url)
        self.url = str(url)
        self._key = _checked_key(api_key)
        self._timeouts = timeouts
        self._retry = retry
        self._slots = anyio.Semaphore(concurrency)
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect, pool=None),
            # Servers close idle connections after seconds (uvicorn: 5); one that is just closing must not be reused.
            limits=httpx.Limits(max_connections=concurrency, keepalive_expiry=2.0),
            follow_redirects=False,
            # Proxies from the environment are for the world outside; sent through one, loopback would not be reached.
            trust_env=not _is_loopback(url.host),
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    async def get(self, path: str, kind: type[Reply]) -> Reply:
        """The reply to GET `path`. Raises Refused, ModelUnavailable, ModelReplyError."""
        body = await self._call("GET", path, None)
        return replies.parse(kind, body, url=f"{self.url}/{path}", secret=self._key)

    async def post(self, path: str, payload: Mapping[str, Any], kind: type[Reply]) -> Reply:
        """The reply to `payload` POSTed to `path`. Raises Refused, ModelUnavailable, ModelReplyError."""
        body = await self._call("POST", path, json.dumps(payload).encode("ascii"))
        return replies.parse(kind, body, url=f"{self.url}/{path}", secret=self._key)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _call(self, method: str, path: str, content: bytes | None) -> bytes:
        async with self._slots:
            ends = anyio.current_time() + self._timeouts.deadline
            attempt = 0
            while True:
                try:
                    return await self._once(method, path, content, ends - anyio.current_time())
                except _Failure as failure:
                    delay = retry_delay(
                        self._retry,
                        attempt=attempt,
                        status=failure.status,
                        retry_after_s=failure.retry_after_s,
                        remaining_s=ends - anyio.current_time(),
                        jitter=random.random(),
                    )
                    if delay is None:
                        raise failure.error from None
                    log.info("Asking again in %.1f s: %s", delay, failure.error)
                attempt += 1
                await anyio.sleep(delay)

    async def _once(self, method: str, path: str, content: bytes | None, remaining_s: float) -> bytes:
        """One request. Raises _Failure where trying again may help, else the error itself."""
        seconds = min(self._timeouts.total, remaining_s, LISTING_SECONDS if content is None else remaining_s)
        response: httpx.Response | None = None
        headers = {"Content-Type": "application/json"} if content is not None else {}
        url = f"{self.url}/{path}"
        try:
            with anyio.fail_after(seconds):
                async with self._http.stream(method, url, content=content, headers=headers) as response:
                    body = await self._body(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Failure(self._unreachable(error), status=NEVER_CONNECTED) from None
        except TimeoutError:
            slow = _SLOW if content is not None else _STUCK
            raise ModelUnavailable(f"{self.url} did not finish an answer within {seconds:g} s.{slow}") from None
        except httpx.TimeoutException:
            raise ModelUnavailable(f"{self.url} sent nothing for {self._timeouts.read:g} s.{_SLOW}") from None
        except httpx.HTTPError as error:
            raise self._broken(error, response) from None
        return self._judge(response, body)

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > _MAX_BODY:
                raise ModelReplyError(f"{self.url} sent more than {_MAX_BODY >> 20} MiB in one reply.")
        return bytes(body)

    def _unreachable(self, error: httpx.HTTPError) -> ModelUnavailable:
        why = "it did not connect in time" if isinstance(error, httpx.ConnectTimeout) else str(error)
        return ModelUnavailable(
            f"No model server answers at {self.url} ({why}). Start it, or set ATLAS_LLM__BASE_URL to where it listens, "
            "or leave that unset to use the embedded model."
        )

    def _broken(self, error: httpx.HTTPError, response: httpx.Response | None) -> ModelError:
        """A connection that broke: before an answer the server is at fault, within one the answer is cut off."""
        what = f"{type(error).__name__}: {error}"
        if response is None:
            return ModelUnavailable(f"{self.url} closed the connection without an answer ({what}). See its own log.")
        return ModelReplyError(f"The answer of {self.url} was cut off or damaged ({what}).")

    def _judge(self, response: httpx.Response, body: bytes) -> bytes:
        status = response.status_code
        if 200 <= status < 300:
            return body
        says = replies.excerpt(replies.error_text(body), secret=self._key)
        if 300 <= status < 400:
            to = replies.excerpt(response.headers.get("location", "").encode(), secret=self._key)
            raise Refused(
                f"{self.url} redirects ({status}) to {to}. Atlas follows no redirects, so that the key stays where it "
                "belongs: set ATLAS_LLM__BASE_URL to the final address.",
                status=status,
                says=says,
            )
        never = response.headers.get("x-should-retry") == "false" or replies.says_never(says)
        if not worth_retrying(status) or (never and status not in (408, 429)):
            raise Refused(f"{self.url} refused the request with {status}: {says}", status=status, says=says)
        wait = parse_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        asked = f" It asks to come back in {wait:.0f} s." if wait is not None else ""
        error = ModelUnavailable(f"{self.url} answers {status}: {says}.{asked}", retry_after_s=wait)
        raise _Failure(error, status=status, retry_after_s=wait)


_STUCK = " It is overloaded or stuck, or is no model server: see its log."
_SLOW = " It is overloaded or stuck: see its log, ask for fewer tokens, or raise the time-out."


def _base_url(text: str) -> httpx.URL:
    """The URL that paths are appended to. A bare host gets the customary /v1."""
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise ConfigError(f"The model server's base URL is not a URL ({error}). Set ATLAS_LLM__BASE_URL.") from None
    if url.scheme not in ("http", "https") or not url.host:
        shown = str(url.copy_with(username=None, password=None))
        raise ConfigError(f"The model server's base URL must be http(s)://host/…, not {shown!r}: ATLAS_LLM__BASE_URL.")
    if url.userinfo or url.query or url.fragment:
        raise ConfigError(
            "The model server's base URL must hold no user name, password, query or fragment. "
            "Set ATLAS_LLM__BASE_URL to the plain address, and a key as ATLAS_LLM__API_KEY."
        )
    path = url.path.rstrip("/")
    return url.copy_with(path=path or "/v1")


def _checked_key(key: str | None) -> str | None:
    """The key, if it can be a header. Else an HTTP library would print it while complaining."""
    if not key:
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("The model server's API key holds a blank, a line break or a odd character. Copy it anew.")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
