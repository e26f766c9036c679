"""Watches one child process: its clocks, its output, its end. Facts only; the host decides what they mean."""

from __future__ import annotations

import os
import select
import signal
import time

from sandbox.guest.cgroup import Counters

RESULT_CAP = 4 * 1024 * 1024
TICK_S = 0.05
READY_S = 20.0
GLANCE_S = 0.003
"""Most steps end sooner than this. Until then only the end is waited for: each look at the output costs a switch."""
READ_SIZE = 1 << 16


class HostGone(Exception):
    """The host closed our standard input: nobody waits for an answer any more."""


class Sink:
    """One pipe from the child, and what came out of it. More than `cap` bytes is over the limit."""

    def __init__(self, fd: int, cap: int) -> None:
        self.fd = fd
        self.cap = cap
        self.data = bytearray()

    def pump(self) -> bool:
        """Read once; False where there was nothing to read now or ever."""
        try:
            part = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return False
        self.data += part
        return bool(part)

    def drain(self) -> None:
        """Read what is already in the pipe and close it; never wait for its writers to close theirs."""
        while len(self.data) <= self.cap + READ_SIZE and self.pump():
            pass
        os.close(self.fd)

    @property
    def over(self) -> bool:
        """The child wrote more than it may."""
        return len(self.data) > self.cap

    def kept(self) -> bytes:
        """All of it, or head, a line that says how much is missing, and tail."""
        if not self.over:
            return bytes(self.data)
        half = self.cap // 2
        gap = b"\n[... %d bytes or more left out ...]\n" % (len(self.data) - 2 * half)
        return bytes(self.data[:half]) + gap + bytes(self.data[-half:])


class End:
    """How the child ended. `limit` is the limit that we killed it for, if any."""

    def __init__(self) -> None:
        self.limit = ""
        self.status = 0
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.peak_kb = 0
        self.started = False


class Watch:
    """One child from its start to its end."""

    def __init__(self, pid: int, sinks: list[Sink], wake: int, host: int, counters: Counters) -> None:
        self.pid = pid
        self.out, self.err, self.result = self.sinks = sinks
        self.wake = wake
        self.counters = counters
        self.end = End()
        self.poll = select.poll()
        self.glance = select.poll()
        for poll in (self.poll, self.glance):
            poll.register(wake, select.POLLIN)
            poll.register(host, 0)  # hang-up only: the next request may already lie in the pipe
        for sink in sinks:
            os.set_blocking(sink.fd, False)
            self.poll.register(sink.fd, select.POLLIN)
        self.host = host
        self.by_fd = {sink.fd: sink for sink in sinks}

    def run(self, wall_s: float, cpu_s: float) -> End:
        """Wait until the child ends or hits a limit, then make sure that it is dead."""
        start = now = time.monotonic()
        deadline = start + READY_S
        cpu_end, oom_kills = self.counters.read("cpu") + int(cpu_s * 1e6), self.counters.read("oom")
        tick = start + TICK_S
        self._wait(self.glance, GLANCE_S)
        while not self._ended():
            now = time.monotonic()
            if not self.end.started and self.result.data:
                self.end.started = True
                deadline = now + wall_s
            self.end.limit = self._limit(now, deadline)
            if not self.end.limit and now >= tick:
                tick = now + TICK_S
                self.end.limit = self._counted(cpu_end, oom_kills)
            if self.end.limit:
                os.kill(self.pid, signal.SIGKILL)
                self._reap(0)
                break
            self._wait(self.poll, min(TICK_S, max(0.0, deadline - now)))
        self.end.wall_s = time.monotonic() - start
        return self.end

    def _limit(self, now: float, deadline: float) -> str:
        if now >= deadline:
            return "timeout"
        if any(sink.over for sink in self.sinks):
            return "output_limit"
        return ""

    def _counted(self, cpu_end: int, oom_kills: int) -> str:
        """What all of the child's processes together went beyond. One of them may die of it and the child wait on."""
        if self.counters.read("oom") > oom_kills:
            return "oom"
        return "cpu" if self.counters.read("cpu") > cpu_end else ""

    def _wait(self, poll: select.poll, seconds: float) -> None:
        for fd, _event in poll.poll(seconds * 1000):
            if fd == self.host:
                raise HostGone
            if fd == self.wake:
                os.read(self.wake, 512)
            elif not self.by_fd[fd].pump():
                self.poll.unregister(fd)

    def _ended(self) -> bool:
        return self._reap(os.WNOHANG)

    def _reap(self, flags: int) -> bool:
        pid, status, usage = os.wait4(self.pid, flags)
        if pid == 0:
            return False
        self.end.status = status
        self.end.cpu_s = usage.ru_utime + usage.ru_stime
        self.end.peak_kb = usage.ru_maxrss
        return True

    def finish(self) -> None:
        """Take what is left in the pipes. Call it when nothing of the step is alive any more."""
        for sink in self.sinks:
            sink.drain()
        self.end.started = self.end.started or bool(self.result.data)
        if not self.end.limit and any(sink.over for sink in self.sinks):
            self.end.limit = "output_limit"
