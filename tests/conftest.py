"""What holds for every test: unit tests reach nothing, and a test whose parts are missing says so; in CI it fails."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

UNIT = Path(__file__).parent / "unit"
TEST_MODEL = "qwen2.5-coder-0.5b"
IN_CI = os.environ.get("CI") == "true"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background job. Every process that a test starts would inherit it, and none would heed Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class SocketUsed(BaseException):
    """A unit test reached out. Not an Exception, so that no retry or fall-back can hide it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostile-report", action="store_true", help="a table of what became of the hostile programs")


@pytest.fixture(autouse=True)
def _unit_tests_open_no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of connected sockets, which event loops are made of, stay possible."""
    if not request.path.is_relative_to(UNIT):
        return

    def refuse(_: socket.socket, address: Any, *__: Any) -> None:
        raise SocketUsed(f"a unit test opens a socket at {address!r}: move it to tests/integration")

    for method in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, method, refuse)


@functools.cache
def _docker() -> str:
    from sandbox.engine import docker_status

    return docker_status()


@functools.cache
def _model() -> str:
    from atlas import models, settings
    from atlas.errors import ConfigError

    try:
        models.verified(TEST_MODEL, cache_dir=settings.load().cache)
    except ConfigError as missing:
        return str(missing)
    return ""


@functools.cache
def _browser() -> str:
    return "" if shutil.which("chromium") else "there is no chromium here (Debian: apt-get install chromium)"


MISSING: dict[str, Callable[[], str]] = {"docker": _docker, "llm": _model, "browser": _browser}
"""Mark -> why what it needs is missing; empty where it is there."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, missing in MISSING.items():
        if item.get_closest_marker(mark) and (reason := missing()):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI has all that tests need, so a skip there is a hole, not a courtesy. Only gVisor is nobody's to install."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("gvisor"):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
    return report
