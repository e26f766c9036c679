"""Identifiers: their form, and their order whatever the clock does."""

from __future__ import annotations

import re
import time

import pytest

from api.ids import new_id


def test_an_id_is_a_prefix_and_a_ulid() -> None:
    assert re.fullmatch(r"task_[0-7][0-9A-HJKMNP-TV-Z]{25}", new_id("task"))


def test_ids_of_one_moment_differ_and_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    ids = [new_id("t") for _ in range(1_000)]
    assert ids == sorted(set(ids))


def test_ids_rise_though_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([5_000_000_000.0, 4_999_999_000.0, 5_000_000_001.0])
    monkeypatch.setattr(time, "time", lambda: next(moments))
    first, second, third = (new_id("t") for _ in range(3))
    assert first < second < third


def test_the_time_is_in_the_first_ten_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    # 6_000_000_000_000 ms = 5 * 32**8 + 14 * 32**7 + ... : read back digit by digit.
    monkeypatch.setattr(time, "time", lambda: 6_000_000_000.0)
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    stamp = 0
    for letter in new_id("t").removeprefix("t_")[:10]:
        stamp = stamp * 32 + digits.index(letter)
    assert stamp == 6_000_000_000_000
