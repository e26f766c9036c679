"""Makes the process that a step runs in: fresh, without privileges, with nothing of the supervisor's at hand.

It is made before it is needed: a *spare* waits, stripped and warm, for the request that it will serve. What the
supervisor imports, every process inherits and has to give back at its end, so it imports little: no dataclasses here.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import resource
import select
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox.guest.loader import read_exactly

Step = Callable[[str, str, Any, int], None]

NOBODY = 65534
HOME = "/box/run"
READY = b"\x01"
UNHANDLED = 70
ORDER = struct.Struct(">Id")
MAX_FD = 256
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
NULL_FD = 0
IDLE_S = 0.001
"""Where no order comes for this long, nobody is in a hurry, and there is time to warm up for it."""
WARM_UP = """from typing import List
def f(x: List[float], *, y: str = "") -> dict:
    return {str(i): [abs(i - one) for one in x] for i in range(3) if i != y}
"""


class Job:
    """What a forked child is born with: descriptors."""

    def __init__(self, host_in: int, orders: int, out: int, err: int, result: int) -> None:
        self.host_in = host_in
        self.orders = orders
        self.out = out
        self.err = err
        self.result = result


class Born(BaseException):
    """Raised in a freshly forked child, so that every frame of the supervisor is gone before the program runs."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


class Spare:
    """A child that waits for its order. `pipes` are what it will write: stdout, stderr and result."""

    def __init__(self, pid: int, orders: int, pipes: list[int]) -> None:
        self.pid = pid
        self.orders = orders
        self.pipes = pipes

    def go(self, body_size: int, cpu_s: float) -> None:
        """Have it read its request's body from the host's pipe and run."""
        os.write(self.orders, ORDER.pack(body_size, cpu_s))
        os.close(self.orders)


def fork(host_in: int) -> Spare:
    """Fork a spare. It will read its request's body from `host_in` itself.

    The supervisor never reads a body, so its memory, which every later child inherits, never holds a program.
    """
    orders_out, orders_in = os.pipe()
    pipes = [os.pipe() for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        os.close(orders_in)
        raise Born(Job(host_in, orders_out, *(write for _read, write in pipes)))
    os.close(orders_out)
    for _read, write in pipes:
        os.close(write)
    return Spare(pid, orders_in, [read for read, _write in pipes])


def become(job: Job, run_step: Step, warm_up: Callable[[], None]) -> NoReturn:
    """Turn this process into the program of one step. Never returns."""
    code = UNHANDLED
    try:
        os.dup2(job.out, 1)
        os.dup2(job.err, 2)
        _shed()
        if not select.select([job.orders], [], [], IDLE_S)[0]:
            warm_up()
        source, kind, payload = _receive(job)
        result = job.result
        del job
        os.write(result, READY)
        run_step(source, kind, payload, result)
        code = 0
    except EOFError:
        pass  # the supervisor is gone
    except BaseException:  # noqa: BLE001  nothing may escape into a second supervisor
        sys.__excepthook__(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


def _shed() -> None:
    """Own session, default signals, first choice of the out-of-memory killer, the nobody user, an empty directory."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    adjustment = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(adjustment, b"1000")
    os.close(adjustment)
    drop(NOBODY)
    os.mkdir(HOME, 0o700)
    os.chdir(HOME)
    gc.enable()


def warm_up_python(run_step: Step) -> None:
    """Touch every page that a step touches, while nobody waits for it: a page's first use is what takes time."""
    body = json.loads(json.dumps({"source": WARM_UP, "ops": [[1, "f([1.5], y='1')"]]}))
    run_step(body["source"], "call", {"ops": body["ops"]}, NULL_FD)
    del sys.modules["program"]


def _receive(job: Job) -> tuple[str, str, Any]:
    """Wait for the order, read the body, and close every descriptor that is not the program's."""
    body_size, cpu_s = ORDER.unpack(read_exactly(job.orders, ORDER.size))
    seconds = math.ceil(cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    body = json.loads(read_exactly(job.host_in, body_size))
    if body["kind"] == "stdio":
        with open(os.memfd_create("stdin"), "w+b") as file:
            file.write(body["payload"]["stdin"].encode("utf-8", "surrogateescape"))
            file.seek(0)
            os.dup2(file.fileno(), 0)
    os.closerange(3, job.result)
    os.closerange(job.result + 1, MAX_FD)
    return body["source"], body["kind"], body["payload"]


def drop(uid: int) -> None:
    """Become `uid` for good: with the last root id the capabilities go too, and no-new-privileges keeps them away."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def guard_supervisor() -> None:
    """Orphans of a program become our children, so that none is missed; and nobody may look into our memory."""
    options = {PR_SET_DUMPABLE: 0} | ({PR_SET_CHILD_SUBREAPER: 1} if os.getpid() != 1 else {})
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in options.items():
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def describe(status: int) -> dict[str, Any]:
    """Exit code or signal of a wait status."""
    if os.WIFSIGNALED(status):
        return {"exit": "signalled", "signal": os.WTERMSIG(status)}
    return {"exit": "exited", "exit_code": os.WEXITSTATUS(status)}
