"""When to ask a server again: a pure decision, so that its test is a table of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

NEVER_CONNECTED = None
"""In place of an HTTP status: the connection could not be made, so nothing was asked and nothing was paid for."""

_PERMANENT_5XX = frozenset({501, 505})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently. Waits grow as `base_s * 2**i`, halved at most by jitter, up to `cap_s` seconds.

    A server that asks (Retry-After) for longer than `cap_s` is not asked again: coming back early would be rude, and
    waiting longer is for the caller to decide.
    """

    attempts: int = 4
    base_s: float = 0.5
    cap_s: float = 30.0


def worth_retrying(status: int | None) -> bool:
    """Whether a failure may pass by itself: no connection, 408, 409, 429, or a 5xx that isn't a plain "never"."""
    if status is NEVER_CONNECTED:
        return True
    return status in (408, 409, 429) or (500 <= status <= 599 and status not in _PERMANENT_5XX)


def retry_delay(
    policy: RetryPolicy,
    *,
    attempt: int,
    status: int | None,
    retry_after_s: float | None,
    remaining_s: float,
    jitter: float,
) -> float | None:
    """Seconds to wait before asking again after `attempt` failed (0 is the first), or None to give up.

    `remaining_s`: what is left until the caller's deadline; a wait that would cross it is not begun.
    `jitter`: uniform in [0, 1); keeps clients that failed together from coming back together.
    """
    if attempt + 1 >= policy.attempts or not worth_retrying(status):
        return None
    backoff = min(policy.cap_s, policy.base_s * 2.0**attempt) * (1.0 - jitter / 2.0)
    if retry_after_s is not None and retry_after_s > policy.cap_s:
        return None
    delay = max(backoff, retry_after_s or 0.0)
    return delay if delay < remaining_s else None


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 §10.2.3: number or date); None if it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
