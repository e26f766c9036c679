"""The real server in a process of its own: killed, restarted, told to stop, its disk full."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import read_events

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


class Server:
    """A running server; `base` is its URL."""

    def __init__(self, database: Path, log: Path, **settings: float) -> None:
        pairs = [f"{name}={value}" for name, value in settings.items()]
        self.log = log
        with self.log.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.serve_fake", str(database), *pairs],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=err, text=True,
            )

    @property
    def base(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), self.log.read_text()
        return line

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base, timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def signal(self, number: signal.Signals, within_s: float = 10) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        self.process.communicate(timeout=within_s)
        return self.process.returncode


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def start_one(database: Path = tmp_path / "atlas.db", **settings: float) -> Server:
        servers.append(Server(database, tmp_path / f"server{len(servers)}.log", **{"lease_s": 1.0, **settings}))
        return servers[-1]

    yield start_one
    for server in servers:
        if server.process.poll() is None:
            server.kill()


def post(client: httpx.Client, prompt: str, **fields: Any) -> str:
    answer = client.post("/v1/tasks", json={"prompt": prompt, **fields})
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def wait(client: httpx.Client, path: str, seconds: float = 30) -> dict[str, Any]:
    """The task once it is terminal. Polls, so that a stuck task fails here and not in a time-out far above."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        task: dict[str, Any] = client.get(path, headers={"Prefer": "wait=2"}).json()
        if task["status"] not in ("queued", "in_progress"):
            return task
    raise AssertionError(f"still {task['status']} after {seconds} s")


def started(client: httpx.Client, path: str) -> None:
    """Wait until a task's solver is at work."""
    with client.stream("GET", f"{path}/events") as answer:
        for line in answer.iter_lines():
            if line == "event: attempt.started":
                return
    raise AssertionError("the stream ended before the task began")


def test_a_task_goes_through_a_real_server(start: Start) -> None:
    with start().client() as client:
        answer = client.post(
            "/v1/tasks", json={"prompt": "verify", "checks": ["f(2) == 4"]}, headers={"Prefer": "wait=20"}
        )
        assert (answer.status_code, answer.json()["outcome"]) == (200, "verified")
        assert "server" not in answer.headers
        assert client.get("/readyz").status_code == 200


def test_events_arrive_while_the_task_runs_and_resume_where_they_stopped(start: Start) -> None:
    with start().client() as client:
        path = post(client, "sleep 2", checks=["f(2) == 4"])
        seen: list[dict[str, Any]] = []
        began = time.monotonic()
        with client.stream("GET", f"{path}/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line.removeprefix("data: ")))
                    if seen[-1]["name"] == "attempt.started":
                        break  # hang up in the middle
        assert time.monotonic() - began < 1.5, "events were held back until the task ended"
        rest = client.get(f"{path}/events", headers={"Last-Event-ID": str(seen[-1]["seq"])})
        seen += read_events(rest.text)
    assert [event["seq"] for event in seen] == [1, 2, 3, 4, 5]
    assert seen[-1]["data"]["task"]["outcome"] == "verified"


def test_a_task_survives_kill_9_and_its_events_go_on(start: Start) -> None:
    server = start()
    with server.client() as client:
        path = post(client, "sleep 1.5", checks=["f(2) == 4"])
        started(client, path)
        server.kill()
    with start().client() as client:
        assert client.get(path).json()["status"] == "in_progress"
        task = wait(client, path)
        assert (task["status"], task["outcome"], task["runs"]) == ("completed", "verified", 2)
        events = read_events(client.get(f"{path}/events").text)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["data"] for event in events if event["name"] == "task.started"] == [{"run": 1}, {"run": 2}]
    assert [event["name"] for event in events].count("task.completed") == 1


def test_a_task_that_always_meets_kill_9_ends_interrupted(start: Start) -> None:
    path = ""
    for run in range(3):
        server = start()
        with server.client() as client:
            path = path or post(client, "sleep 60")
            until = time.monotonic() + 20
            while client.get(path).json()["runs"] <= run:
                assert time.monotonic() < until
                time.sleep(0.1)
            server.kill()
    with start().client() as client:
        task = wait(client, path)
    assert (task["status"], task["outcome"], task["error"]["code"]) == ("failed", "interrupted", "interrupted")


def test_a_queue_survives_kill_9_in_its_order(start: Start) -> None:
    server = start()
    with server.client() as client:
        first = post(client, "sleep 0.5")
        rest = [post(client, "verify") for _ in range(3)]
        server.kill()
    with start().client() as client:
        tasks = [wait(client, path) for path in (first, *rest)]
    assert [task["status"] for task in tasks] == ["completed"] * 4
    begun = [task["timings"]["started_at"] for task in tasks[1:]]
    assert begun == sorted(begun)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_good_order(start: Start, number: signal.Signals) -> None:
    server = start(shutdown_grace_s=0.3)
    with server.client() as client:
        path = post(client, "sleep 60")
        started(client, path)
        with client.stream("GET", f"{path}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            server.process.send_signal(number)
            list(lines)  # the stream ends rather than break
        out, _ = server.process.communicate(timeout=10)
    assert (server.process.returncode, out) == (0, "closed\n"), server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    with start().client() as client:
        task = client.get(path).json()
        assert task["runs"] <= 1 and task["status"] in ("queued", "in_progress")
        names = [event["name"] for event in read_events_so_far(client, path)]
        assert "task.requeued" in names


def read_events_so_far(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """The events that are there now."""
    client.post(f"{path}/cancel")
    return read_events(client.get(f"{path}/events").text)


def test_a_running_task_may_finish_within_the_grace(start: Start) -> None:
    server = start(shutdown_grace_s=20)
    with server.client() as client:
        path = post(client, "sleep 1", checks=["f(2) == 4"])
        started(client, path)
        assert server.signal(signal.SIGTERM) == 0
    with start().client() as client:
        task = client.get(path).json()
        assert (task["outcome"], task["runs"]) == ("verified", 1)


def test_a_second_signal_hurries_it(start: Start) -> None:
    server = start(shutdown_grace_s=60)
    with server.client() as client:
        started(client, post(client, "sleep 60"))
    server.process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert server.process.poll() is None
    assert server.signal(signal.SIGINT) == 0
    assert "Traceback" not in server.log.read_text()


def test_it_can_be_stopped_while_it_opens(start: Start) -> None:
    server = start(open_s=60)
    until = time.monotonic() + 30
    while "opening" not in server.log.read_text():
        assert time.monotonic() < until and server.process.poll() is None
        time.sleep(0.1)
    assert server.signal(signal.SIGTERM) == 0
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_waits_is_answered_when_it_stops(start: Start) -> None:
    server = start()
    with server.client() as client:
        path = post(client, "sleep 60")
        started(client, path)
        stopper = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -TERM {server.process.pid}"])
        answer = client.get(path, headers={"Prefer": "wait=60"})
        stopper.wait()
    assert (answer.status_code, answer.json()["status"]) == (200, "in_progress")


def test_a_taken_port_is_a_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = start(port=other.getsockname()[1])
        out, _ = server.process.communicate(timeout=30)
    assert (server.process.returncode, out) == (8, "")
    said = server.log.read_text()
    assert "Choose another port" in said and "Traceback" not in said


def test_a_file_that_is_no_database_is_a_sentence(start: Start, tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled.db"
    spoiled.write_bytes(b"no database " * 1_000)
    server = start(spoiled)
    server.process.communicate(timeout=30)
    assert server.process.returncode == 8
    said = server.log.read_text()
    assert "is not a database" in said and "Traceback" not in said


def test_bodies_without_end_are_cut_off(start: Start) -> None:
    server = start(max_body_bytes=100_000)
    with server.client() as client:
        def endless() -> Iterator[bytes]:
            while True:
                yield b" " * 10_000

        try:
            answer = client.post("/v1/tasks", content=endless(), headers={"Content-Type": "application/json"})
            assert answer.status_code == 413 and answer.json()["code"] == "payload-too-large"
        except httpx.TransportError as exc:  # the server hung up before we had sent enough to listen: as good
            assert not isinstance(exc, httpx.TimeoutException)
        for headers, status in (({}, 415), ({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)):
            try:
                assert client.post("/v1/tasks", content=endless(), headers=headers).status_code == status
            except httpx.TransportError as exc:
                assert not isinstance(exc, httpx.TimeoutException)
        assert client.get("/livez").status_code == 200
        answer = client.post("/v1/tasks", json={"prompt": "x" * 200_000})
        assert answer.status_code == 413


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_a_problem_and_not_an_end(start: Start, small_disk: Path) -> None:
    server = start(small_disk / "atlas.db")
    with server.client() as client:
        running = post(client, "sleep 3", checks=["f(2) == 4"])
        started(client, running)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as out:
            try:
                while True:
                    out.write(os.urandom(4_096))
            except OSError:
                pass
        full = client.post("/v1/tasks", json={"prompt": "x" * 50_000})
        assert full.json()["code"] == "store-full" and int(full.headers["retry-after"]) > 0
        assert client.get(running).status_code == 200
        assert client.get("/livez").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503 and ready.json()["parts"]["database"]["ok"] is False
        time.sleep(4)  # the running task ends meanwhile, and cannot be written
        ballast.unlink()
        task = wait(client, running, 60)
        assert task["outcome"] == "verified"
        assert client.post("/v1/tasks", json={"prompt": "verify"}).status_code == 202
    assert server.process.poll() is None
