"""The zygote: a warm interpreter that forks one process a step, limits it, kills what is left, reports.

Wire, after the loader's boot object (all integers big-endian):
  request  = u32 header size, u32 body size, header JSON {"seq", "wall_s", "cpu_s", "output_bytes"}, body JSON
             {"source", "kind", "payload"}; the body is read by the forked child, never by this process
  report   = u32 header size, header JSON (a `Raw` plus "sizes"), then stdout, stderr and result bytes
Silent until spoken to. Ends when stdin ends, after its maximum life, or when it cannot vouch for a clean state.
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import gc
import importlib
import json
import os
import resource
import select
import signal
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sandbox.guest import process, watch, wipe
from sandbox.guest.cgroup import Counters
from sandbox.guest.loader import read_exactly

WIPE_S = 10.0
REAP_S = 5.0
HEAD_START_S = 0.001
"""A report is on its way before the next process is made: forking holds up the processor that it has to pass."""
WARM_UPS = 16
"""The interpreter adapts its code to what it is used for; done here, no fork has to do it again."""


class Supervisor:
    """Serves requests one after the other until the host goes away."""

    def __init__(self, host_in: int, host_out: int, max_life_s: int) -> None:
        self.max_life_s = max_life_s
        self.host_in = host_in
        self.host_out = host_out
        self.counters = Counters()
        self.oom_kills = self.counters.read("oom")
        self.refused_forks = self.counters.read("pids")
        self.wake, wake_in = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_in, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Answer requests; returns when the host is gone or when this container must not be used again."""
        spare = process.fork(self.host_in)
        self.send({"hello": 1, "pid": os.getpid(), "missing": self.counters.missing, "cgroup": self.counters.version})
        while True:
            try:
                header_size, body_size = struct.unpack(">II", read_exactly(self.host_in, 8))
                request = json.loads(read_exactly(self.host_in, header_size))
                if not self.step(spare, request, body_size):
                    return
                select.select([self.host_in], [], [], HEAD_START_S)
                spare = process.fork(self.host_in)
            except (EOFError, watch.HostGone):
                return

    def step(self, spare: process.Spare, request: dict[str, Any], body_size: int) -> bool:
        """Run one step and report it; False where the container has to be given up."""
        signal.alarm(self.max_life_s + int(request["wall_s"]))
        spare.go(body_size, request["cpu_s"])
        caps = (request["output_bytes"], request["output_bytes"], watch.RESULT_CAP)
        sinks = [watch.Sink(fd, cap) for fd, cap in zip(spare.pipes, caps, strict=True)]
        watched = watch.Watch(spare.pid, sinks, self.wake, self.host_in, self.counters)
        end = watched.run(request["wall_s"], request["cpu_s"])
        leftovers, clean = self.clean_up()
        watched.finish()
        report = self.facts(end, request["cpu_s"]) | {
            "seq": request["seq"],
            "truncated": watched.out.over or watched.err.over,
            "leftover_processes": leftovers,
            "last": not (clean and end.started),
        }
        result = bytes(watched.result.data[len(process.READY) :]) if not watched.result.over else b""
        self.send(report, watched.out.kept(), watched.err.kept(), result)
        return not report["last"]

    def facts(self, end: watch.End, cpu_s: float) -> dict[str, Any]:
        """What the kernel and our own clocks say of a process that has ended."""
        oom_kills, refused = self.counters.read("oom"), self.counters.read("pids")
        report = process.describe(end.status)
        if oom_kills > self.oom_kills:  # first, for what waits for a child that was killed runs into its clock
            report["exit"] = "oom"
        elif end.limit:
            report["exit"] = end.limit
        elif not end.started:
            report["exit"] = "not_started"
        elif report.get("signal") == signal.SIGXCPU and end.cpu_s >= cpu_s:  # a program can send itself any signal
            report["exit"] = "cpu"
        report["pids_hit"] = refused > self.refused_forks
        self.oom_kills, self.refused_forks = oom_kills, refused
        return report | {"wall_s": end.wall_s, "cpu_s": end.cpu_s, "peak_memory_mb": end.peak_kb / 1024}

    def clean_up(self) -> tuple[int, bool]:
        """Kill and count what the program left running, and empty its places; (processes, all clean)."""
        done, _dead = self.reap(0.0)
        leftovers = 0
        if not done:
            os.kill(-1, signal.SIGKILL)  # spares this process and init; atomic, so nothing can fork past it
            done, leftovers = self.reap(REAP_S)
        return leftovers, (wipe.is_clean() or self.wipe_as_nobody()) and done

    def reap(self, seconds: float) -> tuple[bool, int]:
        """Collect dead children for at most `seconds`; (none is left at all, how many were collected)."""
        deadline = time.monotonic() + seconds
        collected = 0
        while True:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True, collected
            if pid:
                collected += 1
            elif time.monotonic() >= deadline:
                return False, collected
            else:
                time.sleep(0.001)

    def wipe_as_nobody(self) -> bool:
        """Have the program's own user remove what only that user can reach."""
        pid = os.fork()
        if pid == 0:
            try:
                process.drop(process.NOBODY)
                signal.alarm(int(WIPE_S))
                wipe.wipe()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return wipe.is_clean()

    def send(self, report: dict[str, Any], *blobs: bytes) -> None:
        """Write one report; blobs follow the header, which holds their sizes."""
        header = json.dumps(report | {"sizes": [len(blob) for blob in blobs]}).encode()
        data = memoryview(b"".join((len(header).to_bytes(4, "big"), header, *blobs)))
        while data:
            data = data[os.write(self.host_out, data) :]


def runner(language: str) -> tuple[process.Step, Callable[[], None]]:
    """What runs a step of a program in `language`, and what warms a fresh process up for it."""
    if language == "python":
        run_step: process.Step = importlib.import_module("sandbox.guest.child").run_step
        return run_step, partial(process.warm_up_python, run_step)
    return importlib.import_module("sandbox.guest.native").runner(language), lambda: None


def main(config: dict[str, Any]) -> None:
    """Set the guest up and serve.

    `config`: "language", "max_life_s", "address_space" (bytes, or None) and "preload" (names of modules).
    """
    if not all(os.path.ismount(place) for place in wipe.OURS):
        raise SystemExit(f"{wipe.OURS} are emptied after each step, so they must be mounts of this container's own")
    process.guard_supervisor()
    signal.alarm(config["max_life_s"])
    if config["address_space"]:
        resource.setrlimit(resource.RLIMIT_AS, (config["address_space"], config["address_space"]))
    host_in, host_out = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    builtins.exit = builtins.quit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    for name in config["preload"]:
        importlib.import_module(name)
    run_step, warm_up = runner(config["language"])
    os.chdir("/")
    os.environ |= {"HOME": process.HOME, "TMPDIR": process.HOME}
    for _ in range(WARM_UPS):
        warm_up()
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        Supervisor(host_in, host_out, config["max_life_s"]).serve()
    except process.Born as born:
        job = born.job
    else:
        return
    process.become(job, run_step, warm_up)
