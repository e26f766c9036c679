"""One real task through the whole of Atlas: `make demo`.

Starts `atlas serve` on a free loopback port, posts a coding task with checks to it over HTTP, follows the task's
events, and shows what came of it: the program, every candidate with its cost, and the verdict. Exit code 0 only where
the program was verified. The model is the embedded one, or that of the server which ATLAS_LLM__BASE_URL names: what
OPENAI_BASE_URL and OPENAI_API_KEY say to other programs on this machine neither changes the demo nor is charged for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from atlas.console import safe

START_SECONDS = 600.0
STOP_SECONDS = 20.0

TASK = {
    "prompt": (
        "Write a function `run_lengths(text)` that returns the runs of equal characters of a string as a list of "
        "(character, length) tuples, in order. An empty string has no runs."
    ),
    "entry_point": "run_lengths",
    "checks": ["run_lengths('aaab') == [('a', 3), ('b', 1)]", "run_lengths('') == []"],
    "hidden_checks": ["run_lengths('abba') == [('a', 1), ('b', 2), ('a', 1)]"],
    "budget": {"rounds": 3, "candidates": 4, "seconds": 300},
}


class DemoFailed(Exception):
    """What went wrong, as a sentence."""


def show(text: str = "") -> None:
    """Print what a program or a model may have written, without what a terminal would obey."""
    print(safe(text), flush=True)


@contextmanager
def running_service() -> Iterator[str]:
    """`atlas serve` with a database of its own; the URL at which it listens."""
    with tempfile.TemporaryDirectory(prefix="atlas-demo-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
        environment["ATLAS_API__DATABASE"] = str(Path(folder) / "atlas.db")
        command = [sys.executable, "-m", "atlas.cli", "serve", "--host", "127.0.0.1", "--port", "0"]
        service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment)
        try:
            yield _listening(service)
        finally:
            service.send_signal(signal.SIGTERM)
            try:
                service.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()


def _listening(service: subprocess.Popen[str]) -> str:
    """Pass on what the service says, until it says where it listens."""
    found: list[str] = []
    open_ = threading.Event()

    def follow() -> None:
        assert service.stderr is not None
        for line in service.stderr:
            show(f"  {line.rstrip()}")
            if "listening on http" in line:
                found.append(line.split("listening on ")[1].strip())
                open_.set()
        open_.set()

    threading.Thread(target=follow, daemon=True).start()
    open_.wait(START_SECONDS)
    if not found:
        raise DemoFailed("the service did not start; the lines above say why, and `atlas doctor` how to mend it")
    return found[0]


def events(client: httpx.Client, task_id: str) -> Iterator[dict[str, Any]]:
    """The task's events as they come (Server-Sent Events), up to the one that ends it."""
    with client.stream("GET", f"/v1/tasks/{task_id}/events", timeout=60) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def tell(event: dict[str, Any], since: float) -> None:
    """One event as one line."""
    data = event["data"]
    if event["name"] == "candidates.ranked":
        costs = ", ".join(f"#{c['index']} {_cost(c['cost'])}" for c in data["candidates"])
        facts = f"by {data['ranker']}, cheapest first: {costs}"
    else:
        facts = ", ".join(f"{k} {_short(v)}" for k, v in data.items() if isinstance(v, str | int | float) and v != "")
    show(f"  {time.monotonic() - since:5.1f} s  {event['name']:<20} {facts}")


def _why(task: dict[str, Any]) -> str:
    if task["error"]:
        return str(task["error"]["detail"])
    if task["outcome"] == "timed_out":
        return f"its {task['budget']['seconds']:g} s were too few; is this machine busy with something else?"
    return f"no program that was run passed every check; {task['reason']}"


def _cost(value: float | None) -> str:
    return "unscored" if value is None else f"{value:.3f}"


def _short(value: str | float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:80]


def _checks(verdict: dict[str, Any]) -> str:
    return ", ".join(f"{check['outcome']}{' (hidden)' if check['hidden'] else ''}" for check in verdict["checks"])


def report(task: dict[str, Any]) -> None:
    """The program, every candidate with its cost, the verdict, and what it took."""
    show(f"\nThe program ({task['outcome']}):\n")
    show("\n".join(f"    {line}" for line in (task["program"] or "(none)").rstrip().splitlines()))
    for attempt in task["attempts"]:
        show(f"\nRound {attempt['round'] + 1}, every candidate, cheapest first:")
        for one in attempt["candidates"]:
            cost = f"unscored ({one['problem']})" if one["cost"] is None else f"cost {one['cost']:8.3f}"
            chance = "" if one["p_pass"] is None else f"  passes with probability {one['p_pass']:.2f}"
            show(f"  #{one['index']}  {cost}{chance}  {one['tokens']} tokens{'  <- run' if one['picked'] else ''}")
        if verdict := attempt["verdict"]:
            facts = f"{verdict['outcome']} in {verdict['isolation']}, {verdict['wall_s']:.2f} s"
            show(f"  verdict {facts}; checks: {_checks(verdict)}")
    usage, parts = task["usage"], task["provenance"]
    show(f"\nSandbox:  {parts.get('isolation')}, because {parts.get('isolation_because')}")
    show(f"Model:    {parts.get('model')}; ranked by {parts.get('ranker')}")
    show(
        f"Took:     {usage['completion_tokens']} tokens generated ({usage['prompt_tokens']} read), "
        f"{usage['sandbox_runs']} sandbox runs, {task['timings']['running_s']:.1f} s"
    )


def demo() -> None:
    """Raises DemoFailed."""
    begun = time.monotonic()
    show("Starting the service: atlas serve")
    with running_service() as url, httpx.Client(base_url=url, timeout=60) as client:
        show(f"\nPOST {url}/v1/tasks\n  {TASK['prompt']}")
        for check in TASK["checks"]:
            show(f"  check: {check}")
        posted = client.post("/v1/tasks", json=TASK)
        if posted.status_code not in (200, 202):
            raise DemoFailed(f"the service refused the task: {posted.status_code} {posted.text}")
        show(f"\n{posted.status_code} {posted.reason_phrase}, {posted.headers['Location']}; its events:")
        posted_at = time.monotonic()
        for event in events(client, posted.json()["id"]):
            tell({**event, "data": {k: v for k, v in event["data"].items() if k != "task"}}, posted_at)
        task = client.get(posted.headers["Location"]).json()
        report(task)
    show(f"All:      {time.monotonic() - begun:.1f} s, with starting and stopping the service")
    if task["outcome"] != "verified":
        raise DemoFailed(f"the task ended {task['outcome'] or task['status']}: {_why(task)}")
    show("\nVerified: every check passed.")


def main() -> int:
    try:
        demo()
    except (DemoFailed, httpx.HTTPError) as failure:
        print(f"\natlas demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
