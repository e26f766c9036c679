"""The retry decision as a table of numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from atlas.llm.retry import RetryPolicy, parse_retry_after, retry_delay, worth_retrying

POLICY = RetryPolicy(attempts=4, base_s=0.5, cap_s=30.0)
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempt", "status", "retry_after", "remaining", "jitter", "expected"),
    [
        (0, 503, None, 100.0, 0.0, 0.5),
        (1, 503, None, 100.0, 0.0, 1.0),
        (2, 503, None, 100.0, 0.0, 2.0),
        (2, 503, None, 100.0, 0.999, pytest.approx(1.001)),
        (3, 503, None, 100.0, 0.0, None),  # the fourth attempt was the last
        (0, None, None, 100.0, 0.0, 0.5),  # never connected
        (0, 400, None, 100.0, 0.0, None),
        (0, 400, 1.0, 100.0, 0.0, None),  # Retry-After does not make a refusal a passing failure
        (0, 501, None, 100.0, 0.0, None),
        (0, 429, 7.0, 100.0, 0.0, 7.0),
        (0, 429, 0.0, 100.0, 0.0, 0.5),  # "at once" is still not a busy loop
        (0, 429, 30.0, 100.0, 0.0, 30.0),
        (0, 429, 30.1, 100.0, 0.0, None),  # longer than the cap: give up, don't come back early
        (0, 503, None, 0.4, 0.0, None),  # the wait would cross the deadline
        (0, 429, 7.0, 6.9, 0.0, None),
        (0, 503, None, -1.0, 0.0, None),
    ],
)
def test_delay(
    attempt: int,
    status: int | None,
    retry_after: float | None,
    remaining: float,
    jitter: float,
    expected: float | None,
) -> None:
    delay = retry_delay(
        POLICY, attempt=attempt, status=status, retry_after_s=retry_after, remaining_s=remaining, jitter=jitter
    )
    assert delay == expected


def test_backoff_is_capped() -> None:
    policy = RetryPolicy(attempts=50, base_s=0.5, cap_s=30.0)
    assert retry_delay(policy, attempt=40, status=500, retry_after_s=None, remaining_s=1e9, jitter=0.0) == 30.0


@pytest.mark.parametrize("status", [None, 408, 409, 429, 500, 502, 503, 504, 529])
def test_passing_failures(status: int | None) -> None:
    assert worth_retrying(status)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 422, 501, 505, 600])
def test_lasting_failures(status: int) -> None:
    assert not worth_retrying(status)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("99999999999999999999", 999_999_999.0),
        ("٣", None),  # a digit, but not one of HTTP's
        ("Wed, 02 Jan 2030 03:04:35 GMT", 30.0),
        ("Wed, 02 Jan 2030 03:04:05 GMT", 0.0),
        ("Wed, 02 Jan 2030 02:00:00 GMT", 0.0),  # in the past
        ("Wed, 02 Jan 2030 04:04:35 +0100", 30.0),
        ("Wed, 99 Jan 2030 03:04:35 GMT", None),
    ],
)
def test_retry_after_header(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds
