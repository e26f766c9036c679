"""Starts the process that a step runs in: fresh, without privileges, with nothing of the supervisor's at hand."""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from sandbox.guest.loader import read_exactly

NOBODY = 65534
RESULT_FD = 3
HOME = "/box/run"
READY = b"\x01"
UNHANDLED = 70
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36


@dataclass
class Job:
    """What a forked child needs in order to become the program."""

    host_in: int
    body_size: int
    cpu_s: float
    out: int
    err: int
    result: int


class Born(BaseException):
    """Raised in a freshly forked child, so that every frame of the supervisor is gone before the program runs."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


def fork(host_in: int, body_size: int, cpu_s: float) -> tuple[int, list[int]]:
    """Fork a child that will read its own request body from `host_in`; return its pid and its three pipes.

    The supervisor never reads a body, so its memory, which every later child inherits, never holds a program.
    """
    pipes = [os.pipe() for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        raise Born(Job(host_in, body_size, cpu_s, *(write for _read, write in pipes)))
    for _read, write in pipes:
        os.close(write)
    return pid, [read for read, _write in pipes]


def become(job: Job) -> NoReturn:
    """Turn this process into the program of one step. Never returns."""
    code = UNHANDLED
    try:
        body = json.loads(read_exactly(job.host_in, job.body_size))
        source, kind, payload = body["source"], body["kind"], body["payload"]
        _wire(job, payload.get("stdin", "") if kind == "stdio" else "")
        _shed(job.cpu_s)
        del body, job
        os.write(RESULT_FD, READY)
        from sandbox.guest.child import run_step

        run_step(source, kind, payload, RESULT_FD)
        code = 0
    except BaseException:  # noqa: BLE001  nothing may escape into a second supervisor
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wire(job: Job, stdin: str) -> None:
    """Give the process fds 0 to 3 (input, output, errors, result) and close every other one."""
    if stdin:
        with open(os.memfd_create("stdin"), "w+b") as file:
            file.write(stdin.encode("utf-8", "surrogateescape"))
            file.seek(0)
            os.dup2(file.fileno(), 0)
    os.dup2(job.out, 1)
    os.dup2(job.err, 2)
    os.dup2(job.result, RESULT_FD, inheritable=False)
    os.closerange(RESULT_FD + 1, 4096)


def _shed(cpu_s: float) -> None:
    """Own session, limits, the nobody user, an empty working directory, default signals."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    adjustment = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(adjustment, b"1000")
    os.close(adjustment)
    seconds = math.ceil(cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    drop(NOBODY)
    os.mkdir(HOME, 0o700)
    os.chdir(HOME)
    gc.enable()


def drop(uid: int) -> None:
    """Become `uid` for good: with the last root id the capabilities go too, and no-new-privileges keeps them away."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def guard_supervisor() -> None:
    """Orphans of a program become our children, so that none is missed; and nobody may look into our memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_CHILD_SUBREAPER, 1), (PR_SET_DUMPABLE, 0)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def describe(status: int) -> dict[str, Any]:
    """Exit code or signal of a wait status."""
    if os.WIFSIGNALED(status):
        return {"exit": "signalled", "signal": os.WTERMSIG(status)}
    return {"exit": "exited", "exit_code": os.WEXITSTATUS(status)}
