"""The whole of Atlas over HTTP with every part real: a posted task comes back verified."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from costfield.train import train
from tests.support.clients import read_events
from tests.support.labelled import QUICK, labelled

ROOT = Path(__file__).parents[2]
START_SECONDS = 240.0
SECRET = "31337"
TASK = {
    "prompt": "Write a Python function `add(a, b)` that returns the sum of a and b.",
    "entry_point": "add",
    "checks": ["add(2, 3) == 5"],
    "hidden_checks": [f"add({SECRET}, 1) == 31338"],
    "budget": {"rounds": 2, "candidates": 2, "seconds": 200},
}

pytestmark = [pytest.mark.llm, pytest.mark.slow, pytest.mark.timeout(600)]


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Small settings, whatever the tests' own environment holds."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ATLAS_LLM", "ATLAS_RANKER", "OPENAI_"))}
    return kept | {
        "ATLAS_LLM__MODEL": "qwen2.5-coder-0.5b", "ATLAS_LLM__THREADS": "1", "ATLAS_LLM__N_CTX": "4096",
        "ATLAS_LLM__SLOTS": "2", "ATLAS_RANKER": "log-probability", "ATLAS_SANDBOX__WARM": "1",
        "ATLAS_API__DATABASE": str(folder / "atlas.db"), **changes,
    }


@contextmanager
def serving(folder: Path, **changes: str) -> Iterator[httpx.Client]:
    """`atlas serve` on a free port, and a client of it; stopped as Ctrl-C stops it, and its exit code looked at."""
    log = folder / "serve.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "atlas.cli", "serve", "--port", "0"],
            cwd=ROOT, env=environment(folder, **changes), stdout=subprocess.DEVNULL, stderr=said,
        )
    try:
        with httpx.Client(base_url=_url(process, log), timeout=120) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM, 128 + signal.SIGTERM), log.read_text()
    finally:
        process.kill()
        process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    waiting = threading.Event()
    for _ in range(int(START_SECONDS * 5)):
        found = [line for line in log.read_text().splitlines() if line.startswith("listening on ")]
        if found:
            return found[0].removeprefix("listening on ").strip()
        assert process.poll() is None, log.read_text()
        waiting.wait(0.2)
    raise AssertionError(f"no service after {START_SECONDS} s: {log.read_text()}")


def solve(client: httpx.Client) -> dict[str, object]:
    """Post the task, wait for its end, and hold the answer to what every sandbox promises."""
    answer = client.post("/v1/tasks", json=TASK, headers={"Prefer": "wait=60"})
    assert answer.status_code in (200, 202), answer.text
    task = answer.json()
    with client.stream("GET", f"/v1/tasks/{task['id']}/events", timeout=300) as stream:
        text = stream.read().decode()
    names = [event["name"] for event in read_events(text)]
    for name in ("generation.started", "generation.finished", "candidates.ranked", "sandbox.started"):
        assert name in names, names
    assert names.index("generation.finished") < names.index("candidates.ranked") < names.index("sandbox.started")
    done = client.get(f"/v1/tasks/{task['id']}")
    assert SECRET not in done.text and SECRET not in text
    found: dict[str, object] = done.json()
    assert (found["status"], found["outcome"]) == ("completed", "verified"), done.text
    return found


@pytest.mark.docker
def test_a_posted_task_comes_back_verified_by_docker(tmp_path: Path) -> None:
    with serving(tmp_path, ATLAS_SANDBOX__KIND="docker") as client:
        found = solve(client)
        verdict = found["verdict"]
        assert isinstance(verdict, dict)
        assert verdict["isolation"] == "docker" and verdict["passed"]
        assert [check["hidden"] for check in verdict["checks"]] == [False, True]
        assert "def add" in str(found["program"])
        provenance, usage = found["provenance"], found["usage"]
        assert isinstance(provenance, dict) and isinstance(usage, dict)
        assert provenance["model"] == "qwen2.5-coder-0.5b" and provenance["ranker"] == "log-probability"
        assert str(provenance["fingerprint_id"]).startswith("fp4-states-")
        assert usage["completion_tokens"] > 0 and usage["sandbox_runs"] >= 1
        ready = client.get("/readyz")
        assert ready.status_code == 200 and "a known program" in ready.text


def test_a_posted_task_comes_back_verified_by_webassembly(tmp_path: Path) -> None:
    with serving(tmp_path, ATLAS_SANDBOX__KIND="wasm") as client:
        verdict = solve(client)["verdict"]
        assert isinstance(verdict, dict) and verdict["isolation"] == "wasm"


def test_a_cost_field_for_another_model_is_refused_at_start_with_the_way_out(tmp_path: Path) -> None:
    field = train(labelled(), QUICK)
    field.save(tmp_path / "field")
    changes = {
        "ATLAS_RANKER": "cost-field", "ATLAS_COST_FIELD": str(tmp_path / "field"), "ATLAS_SANDBOX__KIND": "wasm",
    }
    refused = subprocess.run(
        [sys.executable, "-m", "atlas.cli", "solve", "Add two numbers.", "--json"],
        cwd=ROOT, env=environment(tmp_path, **changes), capture_output=True, text=True, timeout=START_SECONDS,
    )
    assert refused.returncode == 8, refused.stderr
    (error,) = [line for line in refused.stderr.replace("\n", " ").split("error: ")[1:]]
    assert "fp1-test" in error and "fp4-states-" in error and "ranker" in error
    assert "Traceback" not in refused.stderr and refused.stdout == ""
    served = subprocess.run(
        [sys.executable, "-m", "atlas.cli", "serve", "--port", "0"],
        cwd=ROOT, env=environment(tmp_path, **changes), capture_output=True, text=True, timeout=START_SECONDS,
    )
    assert served.returncode == 8 and "fp1-test" in served.stderr and "Traceback" not in served.stderr, served.stderr
    assert json.loads((tmp_path / "field" / "card.json").read_text())["fingerprint_id"] == "fp1-test"
