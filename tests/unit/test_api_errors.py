"""The table of problems."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest

import api.errors
import api.store
import atlas.errors
import sandbox.errors
from api.errors import INTERNAL, KINDS, ApiError, Kind, kind_of, problem_of
from api.store import StoreError
from atlas.errors import ConfigError, ModelReplyError, ModelUnavailable
from sandbox.errors import InvalidCheck, SandboxBusy, SandboxMisconfigured


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (api.store.QueueFull("x"), 503, "queue-full"),
        (api.store.StoreFull("x"), 507, "store-full"),
        (api.store.LeaseLost("x"), 500, "internal-error"),
        (ModelUnavailable("x"), 503, "model-unavailable"),
        (ModelReplyError("x"), 502, "model-reply"),
        (SandboxBusy("x"), 503, "sandbox-busy"),
        (SandboxMisconfigured("x"), 500, "sandbox-error"),
        (InvalidCheck("x"), 422, "invalid-check"),
        (ConfigError("x"), 500, "internal-error"),
        (KeyError("x"), 500, "internal-error"),
        (asyncio.CancelledError(), 500, "internal-error"),
    ],
)
def test_the_nearest_class_decides(exc: BaseException, status: int, code: str) -> None:
    kind = kind_of(exc)
    assert (kind.status, kind.code) == (status, code)


def test_every_refusal_of_ours_has_its_own_row() -> None:
    ours = [
        cls
        for module in (api.errors, api.store)
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, (ApiError, StoreError)) and cls not in (ApiError, StoreError, api.store.LeaseLost)
    ]
    assert len(ours) >= 10
    assert [cls for cls in ours if KINDS.get(cls, INTERNAL) is INTERNAL] == []


def test_no_error_below_us_falls_to_the_last_row_unseen() -> None:
    """An error that a lower room adds must be thought of here; those named here never reach a request."""
    known = {"AtlasError", "ModelError", "ConfigError", "FingerprintMismatch", "SolveInterrupted", "DownloadError"}
    for module in (atlas.errors, sandbox.errors):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == module.__name__ and issubclass(cls, Exception) and cls.__name__ not in known:
                assert kind_of(cls.__new__(cls)) is not INTERNAL, f"give {cls} a row in api.errors, or name it here"


def test_codes_are_one_to_one() -> None:
    kinds: set[Kind] = set(KINDS.values())
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.retry_after_s for kind in kinds if kind.status in (429, 503))


def test_an_internal_error_keeps_its_text_to_itself() -> None:
    answer = problem_of({"type": "http", "path": "/x"}, ZeroDivisionError("secret"))
    body = json.loads(bytes(answer.body))
    assert answer.status_code == 500 and "secret" not in json.dumps(body)
