"""Events on their way to the store: scrubbed, bounded, in order."""

from __future__ import annotations

import json
import math

import pytest

from api.outbox import MAX_EVENT_CHARS, MAX_EVENTS, MAX_STRING_CHARS, Outbox, Scrubber
from atlas.types import Verdict
from sandbox.types import CheckResult, Outcome
from tests.support.fakes import FakeEvent


def check(index: int, outcome: Outcome = Outcome.FAIL, *, hidden: bool = False) -> CheckResult:
    return CheckResult(index=index, outcome=outcome, shown="f(3) == 'secret'", actual="secret", hidden=hidden)


def verdict(*checks: CheckResult) -> dict[str, object]:
    return Verdict(outcome=Outcome.FAIL, isolation="fake", checks=checks, message="secret").model_dump(mode="json")


def scrub(value: object, n_visible: int, *, has_hidden: bool = True) -> object:
    return Scrubber(n_visible=n_visible, has_hidden=has_hidden).scrub(value)


def test_a_hidden_check_is_index_and_outcome_wherever_it_stands() -> None:
    result = check(1, hidden=True).model_dump(mode="json")
    told = {"index": 1, "outcome": "FAIL", "hidden": True}
    assert scrub(result, 9) == told
    assert scrub({"a": [{"b": result}]}, 9) == {"a": [{"b": told}]}


def test_a_check_behind_the_visible_ones_is_hidden_though_nobody_says_so() -> None:
    told = scrub(verdict(check(0, Outcome.PASS), check(1)), 1)
    assert isinstance(told, dict)
    assert told["checks"][0]["shown"] == "f(3) == 'secret'"
    assert told["checks"][1] == {"index": 1, "outcome": "FAIL", "hidden": True}


def test_a_message_that_may_speak_of_a_hidden_check_is_left_out() -> None:
    assert "secret" not in json.dumps(scrub(verdict(check(0, hidden=True)), 0))
    seen = scrub(verdict(check(0), check(1, Outcome.PASS, hidden=True)), 1)
    assert isinstance(seen, dict) and seen["message"] == "secret"


def test_a_verdict_without_its_checks_keeps_its_message_only_where_nothing_is_hidden() -> None:
    failed = {"outcome": "FAIL", "checks": 2, "message": "secret"}
    assert scrub(failed, 1) == {"outcome": "FAIL", "checks": 2}
    assert scrub(failed, 1, has_hidden=False) == failed
    passed = {"outcome": "PASS", "message": "all well"}
    assert scrub(passed, 1) == passed


def test_what_json_cannot_say_is_none() -> None:
    assert scrub({"a": [math.nan, math.inf, 1.5, True, None]}, 0) == {"a": [None, None, 1.5, True, None]}


def test_strings_and_depth_are_bounded() -> None:
    assert scrub("x" * (MAX_STRING_CHARS + 1), 0) == "x" * MAX_STRING_CHARS
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    assert len(json.dumps(scrub(deep, 0))) < 100


def test_an_unfit_event_is_kept_by_name(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(0, has_hidden=False)
    outbox.put(FakeEvent(name="a", data={"x": object()}))
    (event,) = outbox.take()
    assert event.name == "a" and "omitted" in json.loads(event.data)
    assert "cannot be kept" in caplog.text


def test_a_huge_event_is_kept_by_name() -> None:
    outbox = Outbox(0, has_hidden=False)
    outbox.put(FakeEvent(name="a", data={str(i): "x" * MAX_STRING_CHARS for i in range(20)}))
    (event,) = outbox.take()
    assert len(event.data) < MAX_EVENT_CHARS and "omitted" in json.loads(event.data)


def test_events_come_out_in_order_and_once_and_may_be_given_back() -> None:
    outbox = Outbox(0, has_hidden=False)
    assert not outbox.filled.is_set()
    for name in "abc":
        outbox.put(FakeEvent(name=name, data={}))
    assert outbox.filled.is_set()
    taken = outbox.take()
    assert not outbox.filled.is_set() and list(outbox.take()) == []
    outbox.put(FakeEvent(name="d", data={}))
    outbox.give_back(taken)
    assert [event.name for event in outbox.take()] == ["a", "b", "c", "d"]


def test_a_chatty_run_is_cut_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(0, has_hidden=False)
    for _ in range(MAX_EVENTS + 5):
        outbox.put(FakeEvent(name="a", data={}))
    assert len(outbox.take()) == MAX_EVENTS
    assert caplog.text.count("too many events") == 1
