"""The sandbox that needs nothing installed: CPython inside WebAssembly, one fresh instance for every step.

An instance has no files, no network, no processes and no threads. Its memory is capped by the engine; its deadline is
looked at on every tick, also inside C loops. Python computes about five times slower in it than natively.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any

import wasmtime

from sandbox.checks import Step, judge_program
from sandbox.errors import SandboxBusy, SandboxMisconfigured, SandboxUnavailable
from sandbox.raw import Exit, Raw
from sandbox.types import Check, Limits, Program, Verdict
from sandbox.wasm_host import define_host
from sandbox.wasm_run import Instance, Job, Ticker
from sandbox.wasm_runtime import load_module, make_engine

MAX_WAITING = 256
GUEST, JUDGE = ("encode", "child"), ("testing", "remote", "judge")
"""Guest modules that every instance loads, and those that only judges need."""
WARM_UPS = ("typing",)
"""What idle instances import: what programs import most, and it brings collections, functools, re and enum."""

_READ = """\
import posix, marshal, sys
def take(size):
    data = b""
    while len(data) < size:
        data += posix.read(0, size - len(data))
    return data
def message():
    return marshal.loads(take(int.from_bytes(take(4), "little")))
def load(modules):
    for name, code in modules:
        module = sys.modules[name] = type(sys)(name)
        package, _, last = name.rpartition(".")
        if package:
            setattr(sys.modules[package], last, module)
        if code is not None:
            exec(marshal.loads(code), module.__dict__)
"""
BOOT = _READ + """\
import builtins, _sitebuiltins
builtins.exit, builtins.quit = (_sitebuiltins.Quitter(name, "Ctrl-D") for name in ("exit", "quit"))
modules, warm_ups = message()
load(modules)
while take(1) == b"w":
    __import__(warm_ups.pop(0))
modules, step = message()
load(modules)
sys.modules["sandbox.guest.child"].run_step(*step, 0)
posix._exit(0)
"""
COMPILE = _READ + """\
codes = [marshal.dumps(compile(text, name, "exec", dont_inherit=True)) for name, text in message()]
posix.write(0, marshal.dumps(codes))
posix._exit(0)
"""


class WasmSandbox:
    """Runs Python programs in WebAssembly. Make one with `await WasmSandbox.start()`, end it with `aclose`.

    Instances are started before they are needed; each runs one step and is thrown away.
    """

    def __init__(self, shared: _Shared, concurrency: int) -> None:
        self._shared = shared
        self._places = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._waiting = 0
        self._spares: list[_Running] = []
        self._busy: set[_Running] = set()
        self._closed = False

    @classmethod
    async def start(cls, *, concurrency: int | None = None, cache: Path | None = None) -> WasmSandbox:
        """Load CPython, compiling it the first time (about 6 s), and prove that it runs.

        `concurrency` is how many programs run at once; by default one for each processor. Raises SandboxUnavailable.
        """
        shared = await asyncio.to_thread(_Shared, cache)
        sandbox = cls(shared, concurrency if concurrency is not None else os.cpu_count() or 1)
        sandbox._refill(Limits().memory_mb)
        return sandbox

    @property
    def isolation(self) -> str:
        """Always "wasm"."""
        return "wasm"

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        """Judge `program`; see `sandbox.types.Sandbox.run`."""
        if program.language != "python":
            raise SandboxMisconfigured(
                f"the WebAssembly sandbox runs Python only; programs in {program.language} need the Docker sandbox"
            )
        if self._closed:
            raise SandboxUnavailable("the sandbox has been closed")
        if self._waiting >= MAX_WAITING:
            raise SandboxBusy(f"{MAX_WAITING} programs are waiting already; try again later")

        async def execute(step: Step) -> Raw:
            raw = await self._execute(step, limits)
            return raw if raw.exit is not Exit.NOT_STARTED else await self._execute(step, limits)

        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            return await judge_program(program, checks, execute, self.isolation)
        finally:
            self._places.release()

    async def aclose(self) -> None:
        """Stop every instance. Runs that are still under way raise SandboxUnavailable."""
        self._closed = True
        for running in (*self._spares, *self._busy):
            await running.stop()
        self._spares.clear()
        await asyncio.to_thread(self._shared.ticker.close)

    async def __aenter__(self) -> WasmSandbox:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def _execute(self, step: Step, limits: Limits) -> Raw:
        running = self._take(limits.memory_mb, step.payload.get("seed"))
        self._busy.add(running)
        running.instance.assign(Job(self._shared.job(step), limits))
        try:
            raw = await asyncio.shield(running.ended)
            if self._closed:
                raise SandboxUnavailable("the sandbox was closed while the program ran")
            return raw
        except asyncio.CancelledError:
            await running.stop()
            raise
        finally:
            self._busy.discard(running)
            self._refill(limits.memory_mb)  # not before: starting one takes as much of a processor as most programs

    def _take(self, memory_mb: int, seed: int | None) -> _Running:
        """An instance that waits for a job: a spare, or where none fits (a judge needs its own seed) a new one."""
        for spare in self._spares if seed is None else ():
            if spare.instance.memory_mb == memory_mb and not spare.ended.done():
                self._spares.remove(spare)
                return spare
        return _Running(self._shared, memory_mb, seed)

    def _refill(self, memory_mb: int) -> None:
        """Keep as many spares as programs may run at once, all made for the memory that was asked for last."""
        for spare in [spare for spare in self._spares if spare.instance.memory_mb != memory_mb]:
            self._spares.remove(spare)
            spare.instance.cancel()
        self._spares = [spare for spare in self._spares if not spare.ended.done()]
        while len(self._spares) < self._concurrency and not self._closed:
            self._spares.append(_Running(self._shared, memory_mb, None))


class _Running:
    """An instance in a thread of its own."""

    def __init__(self, shared: _Shared, memory_mb: int, seed: int | None) -> None:
        self.instance = Instance(shared.boot, memory_mb, len(WARM_UPS), seed)
        raw: Future[Raw] = Future()
        self.ended = asyncio.wrap_future(raw)

        def work() -> None:
            try:
                raw.set_result(self.instance.run(shared.ticker, shared.engine, shared.prepared, _argv(BOOT)))
            except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
                raw.set_exception(error)

        self._thread = threading.Thread(target=work, name="wasm-instance", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the instance and wait until it has."""
        self.instance.cancel()
        while not self.ended.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self.ended])
        self._thread.join()  # it has nothing left to do but to return


class _Shared:
    """Engine, clock, compiled CPython and the guest's compiled modules: what no instance can change."""

    def __init__(self, cache: Path | None) -> None:
        self.engine = make_engine()
        linker = wasmtime.Linker(self.engine)
        define_host(linker)
        self.prepared = linker.instantiate_pre(load_module(self.engine, cache))
        self.ticker = Ticker(self.engine)
        codes = self._compile([*GUEST, *JUDGE])
        packages = [("sandbox", None), ("sandbox.guest", None)]
        self.boot = _message(([*packages, *codes[: len(GUEST)]], list(WARM_UPS)))
        self._judge_modules = codes[len(GUEST) :]

    def _compile(self, names: list[str]) -> list[tuple[str, bytes]]:
        """The guest's modules as code of the Python inside, which compiles them once here rather than every time."""
        folder = resources.files("sandbox.guest")
        texts = [(f"sandbox.guest.{name}", folder.joinpath(f"{name}.py").read_text("utf-8")) for name in names]
        instance = Instance(_message(texts), Limits().memory_mb)
        raw = instance.run(self.ticker, self.engine, self.prepared, _argv(COMPILE))
        if raw.exit is not Exit.EXITED or raw.result is None:
            raise SandboxUnavailable(f"Python in WebAssembly does not start: {raw.stderr.decode(errors='replace')}")
        codes = marshal.loads(raw.result)  # written by our own code, before any candidate was there
        return [(name, code) for (name, _), code in zip(texts, codes, strict=True)]

    def job(self, step: Step) -> bytes:
        """What an instance reads of a step: extra modules and the arguments of `run_step`, then standard input."""
        stdin = str(step.payload.get("stdin", "")).encode("utf-8", "surrogateescape")
        payload = {key: value for key, value in step.payload.items() if key != "stdin"}
        modules = self._judge_modules if step.kind in ("judge", "script") else []
        message = _message((modules, (step.source, step.kind, payload)))
        return message + stdin


def _message(value: Any) -> bytes:
    data = marshal.dumps(value, 4)  # the version that Python 3.12 knows
    return len(data).to_bytes(4, "little") + data


def _argv(code: str) -> list[str]:
    return ["python", "-I", "-S", "-B", "-c", code]
