"""One program in one WebAssembly instance: what it may read and write, and when it has to stop.

The instance gets no directory and no socket, only three descriptors: 0 gives the job and then the program's standard
input, and takes the result frame; 1 and 2 are its output. Reading, writing, sleeping and random numbers are implemented
here; clock, arguments and exit are wasmtime's. The standard library lies inside the runtime.
"""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from typing import Any, NamedTuple

import wasmtime
from wasmtime import _ffi as ffi

from sandbox.raw import Exit, Raw
from sandbox.types import Limits
from sandbox.wasm_host import current

TICK_S = 0.01
BOOT_S = 60.0
"""Seconds that an instance may take to get ready."""
IDLE_S = 0.02
"""Seconds without a job after which an instance warms up further."""
MAX_RESULT = 4 << 20
PAGE = 65_536

_EpochCallback = ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.POINTER(ffi.wasmtime_context_t),
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ffi.wasmtime_update_deadline_kind_t),
)


class Ticker:
    """Advances an engine's epoch at every tick, while at least one instance computes."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._computing = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._tick, name="wasm-ticker", daemon=True)
        self._thread.start()

    def __enter__(self) -> Ticker:
        with self._changed:
            self._computing += 1
            self._changed.notify()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._computing -= 1

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _tick(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._computing or self._closed)
                if self._closed:
                    return
            self._engine.increment_epoch()
            time.sleep(TICK_S)


class Job(NamedTuple):
    """What an instance is to do once it is ready."""

    data: bytes
    limits: Limits
    seed: int | None = None
    """Makes everything random inside, the order of sets included, the same from run to run."""


class Instance:
    """One instance, run once, in the thread that calls `run`. Any thread may call `assign` and `cancel`.

    It starts before it has a job. While it waits, it imports `warm_ups` modules of its own list, one for each idle
    moment, so that a waiting instance is a warm one and a busy sandbox spends nothing on it. Clocks start with the job.
    """

    def __init__(self, boot: bytes, memory_mb: int, warm_ups: int = 0, seed: int | None = None) -> None:
        self.incoming = memoryview(boot)
        self.memory_mb = memory_mb
        self.warm_ups = warm_ups
        self.limits = Limits(wall_s=BOOT_S, cpu_s=BOOT_S)
        self.output = {1: bytearray(), 2: bytearray()}
        self.result = bytearray()
        self.stop: Exit | None = None
        self.random_bytes = os.urandom if seed is None else random.Random(seed).randbytes
        self.started = self.started_cpu = 0.0
        self._job: Job | None = None
        self._at_work = False
        self._woken = threading.Event()
        self._cancelled = threading.Event()

    def assign(self, job: Job) -> None:
        """Give the instance its job."""
        self._job = job
        self._woken.set()

    def cancel(self) -> None:
        """Make the instance end at its next tick."""
        self._cancelled.set()
        self._woken.set()

    def run(self, ticker: Ticker, engine: wasmtime.Engine, prepared: wasmtime.InstancePre, argv: list[str]) -> Raw:
        """Run to the end, or to the first limit."""
        self._start_clocks()
        self._ticker = ticker
        current.instance = self
        memory = None
        with ticker, wasmtime.Store(engine) as store:
            store.set_limits(memory_size=self.memory_mb << 20)
            wasi = wasmtime.WasiConfig()
            wasi.argv = argv
            store.set_wasi(wasi)
            callback = self._watch(store)
            trap, code = "", 0
            try:
                exports = prepared.instantiate(store).exports(store)
                memory, start = exports["memory"], exports["_start"]
                assert isinstance(start, wasmtime.Func)
                start(store)
            except wasmtime.ExitTrap as ended:
                code = ended.code
            except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
                trap = str(error)
            finally:
                current.instance = None
                del callback
            peak = memory.data_len(store) if isinstance(memory, wasmtime.Memory) else 0
        return self._report(trap, code, peak)

    def _start_clocks(self) -> None:
        self.started, self.started_cpu = time.monotonic(), time.thread_time()

    def _report(self, trap: str, code: int, peak: int) -> Raw:
        out_of_memory = trap and peak + PAGE * 16 > self.memory_mb << 20
        if self.stop is None and trap:
            self.stop = Exit.OOM if out_of_memory or not peak else Exit.SIGNALLED
        if self._job is not None and not self._at_work:
            self.stop = Exit.NOT_STARTED  # it ended while it got ready: nothing of that is the program's doing
        if self.stop is Exit.SIGNALLED:
            self.output[2] += f"\n{trap.splitlines()[-1]}\n".encode()
        return Raw(
            exit=self.stop or Exit.EXITED,
            exit_code=code if self.stop is None else None,
            signal=11 if self.stop is Exit.SIGNALLED else None,
            result=bytes(self.result) or None,
            stdout=bytes(self.output[1]),
            stderr=bytes(self.output[2]),
            truncated=self.stop is Exit.OUTPUT_LIMIT,
            wall_s=time.monotonic() - self.started,
            cpu_s=time.thread_time() - self.started_cpu,
            peak_memory_mb=peak / (1 << 20),
        )

    def _watch(self, store: wasmtime.Store) -> Any:
        """Look at the limits at every tick of the engine's epoch. The result must outlive the run."""

        def tick(context: Any, data: Any, delta: Any, kind: Any) -> int:
            if not self.over():
                delta[0] = 1
                return 0
            error = ffi.wasmtime_error_new(b"stopped")
            return ctypes.cast(error, ctypes.c_void_p).value or 0

        callback = _EpochCallback(tick)
        none = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
        ffi.wasmtime_store_epoch_deadline_callback(store.ptr(), callback, None, none)
        store.set_epoch_deadline(1)
        return callback

    def over(self) -> bool:
        """Whether the run must end, now that a tick has passed."""
        if self.stop is None:
            if self._cancelled.is_set() or time.monotonic() - self.started > self.limits.wall_s:
                self.stop = Exit.TIMEOUT
            elif time.thread_time() - self.started_cpu > self.limits.cpu_s:
                self.stop = Exit.CPU
        return self.stop is not None

    # What the instance may ask for

    def read(self, size: int) -> bytes:
        """Input. Where all of it is used up and no job is there yet, wait for one."""
        if not self.incoming and not self._at_work:
            self._wait_for_job()
        data, self.incoming = self.incoming[:size], self.incoming[size:]
        return bytes(data)

    def _wait_for_job(self) -> None:
        self._ticker.__exit__()
        woken = self._woken.wait(IDLE_S if self.warm_ups else None)
        self._ticker.__enter__()
        if not woken:
            self.warm_ups -= 1
            self.incoming = memoryview(b"w")
        elif self._job is not None:
            self.incoming = memoryview(b"j" + self._job.data)
            self.limits = self._job.limits
            self._at_work = True
            self._start_clocks()

    def write(self, fd: int, data: bytes) -> None:
        """Take output. Beyond a limit nothing is kept and the next tick ends the run."""
        kept = self.result if fd == 0 else self.output[fd]
        limit = self.limit(fd)
        if len(kept) + len(data) > limit:
            self.stop = Exit.OUTPUT_LIMIT
        kept += data[: limit - len(kept)]

    def limit(self, fd: int) -> int:
        """How many bytes are taken from a descriptor."""
        return MAX_RESULT if fd == 0 else self.limits.output_bytes

    def sleep(self, seconds: float) -> None:
        """Sleep as long as the program asked for, but not beyond its end."""
        left = self.limits.wall_s - (time.monotonic() - self.started)
        self._cancelled.wait(max(min(seconds, left + TICK_S), 0.0))
