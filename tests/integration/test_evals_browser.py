"""The report in a real browser: it is drawn, and it neither complains nor asks for anything."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.evals.report.page import render, write_report
from atlas.evals.report.serve import server
from tests.support.chromium import Page, chromium
from tests.support.evals import finished_run
from tests.support.reports import HOSTILE as ATTACK
from tests.support.reports import POOL, hostile_rows, with_loop

HOSTILE = "document.documentElement.textContent.includes('<script>alert(1)</script>')"
CHARTS = """[...document.querySelectorAll("svg.chart")].map(
    chart => [chart.getBoundingClientRect().width, chart.querySelectorAll(".dot").length])"""
STYLED = "getComputedStyle(document.querySelector('svg .line.leader')).stroke"
PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    finished_run(folder, hostile_rows(), model="fake-1b")
    with_loop(folder, ranker=ATTACK)
    finished_run(tmp_path / "other", {name: [(-c, p, right) for c, p, right in own] for name, own in POOL.items()})
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path / "profile") as opened:
        yield opened


@pytest.mark.browser
def test_the_page_is_drawn_and_asks_for_nothing(run: Path, page: Page) -> None:
    address = write_report(run, f"{run.parent}/other").as_uri()
    page.open(address)
    assert page.evaluate(HOSTILE), "hostile text is there, as text"
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    charts = page.evaluate(CHARTS)
    assert len(charts) == 3 and all(width > 300 and dots > 2 for width, dots in charts)
    assert page.evaluate("document.querySelectorAll('details').length") > 3
    assert page.evaluate("document.getElementById('loop').parentElement.querySelectorAll('tbody tr').length") == 1
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.screenshot(run / "light.png")
    light = page.evaluate(PAPER), page.evaluate(STYLED)
    page.screenshot(run / "dark.png", dark=True)
    dark = page.evaluate(PAPER), page.evaluate(STYLED)
    assert light[0] != dark[0] and light[1] != dark[1]
    assert "none" not in (light[1], dark[1]), "the policy lets the style in"
    assert (run / "light.png").stat().st_size > 50_000
    page.screenshot(run / "phone.png", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out on a telephone"
    assert page.requests == [address]
    assert page.complaints == []


@pytest.mark.browser
def test_the_page_that_is_served_is_the_same(run: Path, page: Page) -> None:
    with server(render(run)) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{served.server_port}/"
        page.open(address)
        assert page.evaluate(HOSTILE) and page.evaluate("document.querySelectorAll('svg.chart').length") == 3
        assert page.evaluate(STYLED) != "none"
        assert (page.requests, page.complaints) == ([address], [])
        served.shutdown()


def test_nothing_but_that_page_is_served_and_to_nobody_else() -> None:
    with server("the page") as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        port = served.server_port

        def ask(method: str, path: str, host: str) -> tuple[int, bytes, str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, path, headers={"Host": host})
            answer = connection.getresponse()
            found = answer.status, answer.read(), answer.headers.get("Content-Security-Policy", "")
            connection.close()
            return found

        status, body, policy = ask("GET", "/", f"127.0.0.1:{port}")
        assert (status, body) == (200, b"the page") and policy.startswith("default-src 'none'")
        assert ask("HEAD", "/", f"localhost:{port}")[:2] == (200, b"")
        assert ask("GET", "/results.json", f"127.0.0.1:{port}")[0] == 404
        assert ask("GET", "/../../etc/passwd", f"127.0.0.1:{port}")[0] == 404
        assert ask("GET", "/", f"evil.test:{port}")[0] == 403, "a name that was made to mean this machine"
        assert ask("POST", "/", f"127.0.0.1:{port}")[0] == 501
        served.shutdown()


def test_atlas_eval_view_says_where_and_ends_with_ctrl_c(run: Path) -> None:
    atlas = Path(sys.executable).with_name("atlas")
    with subprocess.Popen([atlas, "eval", "view", str(run)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=10)
        connection.request("GET", "/")
        body = connection.getresponse().read()
        connection.close()
        assert body.decode() == render(run)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
