"""The sandbox that needs nothing installed: CPython inside WebAssembly, one fresh instance for every step.

An instance has no files, no network, no processes and no threads. Its memory is capped by the engine; its deadline is
looked at on every tick, also inside C loops. Python computes about five times slower in it than natively.
"""

from __future__ import annotations

import marshal
import os
import threading
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import anyio
import wasmtime

from sandbox.checks import Step, judge_program
from sandbox.errors import SandboxBusy, SandboxMisconfigured, SandboxUnavailable
from sandbox.raw import Exit, Raw
from sandbox.types import Check, Limits, Program, Verdict
from sandbox.wasm_run import TICK_S, Instance, define_host
from sandbox.wasm_runtime import load_module, make_engine

GUEST_MODULES = ("encode", "child", "testing", "judge")
MAX_WAITING = 256

_READ = """\
import posix, marshal
def take(size):
    data = b""
    while len(data) < size:
        data += posix.read(0, size - len(data))
    return data
parts = marshal.loads(take(int.from_bytes(take(4), "little")))
"""
BOOT = _READ + """\
import sys, builtins, _sitebuiltins
builtins.exit, builtins.quit = (_sitebuiltins.Quitter(name, "Ctrl-D") for name in ("exit", "quit"))
for name, code in parts[0]:
    module = type(sys)(name)
    sys.modules[name] = module
    setattr(sys.modules[name.rpartition(".")[0] or name], name.rpartition(".")[2], module)
    if code is not None:
        exec(marshal.loads(code), module.__dict__)
sys.modules["sandbox.guest.child"].run_step(*parts[1], 0)
posix._exit(0)
"""
COMPILE = _READ + """\
data = marshal.dumps([marshal.dumps(compile(text, name, "exec", dont_inherit=True)) for name, text in parts])
posix.write(0, data)
posix._exit(0)
"""


class WasmSandbox:
    """Runs Python programs in WebAssembly. Build it with `await WasmSandbox.start()`."""

    def __init__(self, prepared: _Prepared, concurrency: int) -> None:
        self._prepared = prepared
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._ticker = _Ticker(prepared.engine)

    @classmethod
    async def start(cls, *, concurrency: int | None = None, cache: Path | None = None) -> WasmSandbox:
        """Load CPython, compiling it the first time (about 6 s), and prove that it runs.

        `concurrency` is how many programs run at once; by default one for each processor. Raises SandboxUnavailable.
        """
        prepared = await anyio.to_thread.run_sync(_Prepared, cache)
        return cls(prepared, concurrency if concurrency is not None else os.cpu_count() or 1)

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
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise SandboxBusy(f"{MAX_WAITING} programs are waiting already; try again later")

        async def execute(step: Step) -> Raw:
            return await self._execute(step, limits)

        return await judge_program(program, checks, execute, self.isolation)

    async def aclose(self) -> None:
        """Stop the clock. Programs that are running end with the tasks that run them."""
        await anyio.to_thread.run_sync(self._ticker.close)

    async def __aenter__(self) -> WasmSandbox:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def _execute(self, step: Step, limits: Limits) -> Raw:
        stdin = step.payload.get("stdin", "").encode("utf-8", "surrogateescape")
        payload = {key: value for key, value in step.payload.items() if key != "stdin"}
        job = self._prepared.job(step.source, step.kind, payload) + stdin
        instance = Instance(job, limits, step.payload.get("seed"))
        done = threading.Event()

        def work() -> Raw:
            try:
                with self._ticker:
                    return instance.run(self._prepared.engine, self._prepared.instance, _argv(BOOT))
            finally:
                done.set()

        async with self._limiter:
            try:
                own_thread = anyio.CapacityLimiter(1)  # the sandbox's limiter has counted this run already
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=own_thread)
            except anyio.get_cancelled_exc_class():
                instance.cancel()
                with anyio.CancelScope(shield=True):
                    while not done.is_set():
                        await anyio.sleep(TICK_S / 2)
                raise


class _Prepared:
    """Engine, compiled CPython and the guest's compiled modules: what every instance shares, and none can change."""

    def __init__(self, cache: Path | None) -> None:
        self.engine = make_engine()
        linker = wasmtime.Linker(self.engine)
        define_host(linker)
        self.instance = linker.instantiate_pre(load_module(self.engine, cache))
        self._modules = self._compile_guest()

    def _compile_guest(self) -> list[tuple[str, bytes | None]]:
        """The guest's modules as code of the Python inside, which compiles them once here rather than every time."""
        names = [f"sandbox.guest.{name}" for name in GUEST_MODULES]
        folder = resources.files("sandbox.guest")
        texts = [(name, folder.joinpath(f"{name.rpartition('.')[2]}.py").read_text("utf-8")) for name in names]
        data = marshal.dumps(texts)
        with _Ticker(self.engine) as ticker:
            instance = Instance(len(data).to_bytes(4, "little") + data, Limits(wall_s=60, cpu_s=60))
            raw = instance.run(self.engine, self.instance, _argv(COMPILE))
            ticker.close()
        if raw.exit is not Exit.EXITED or raw.result is None:
            raise SandboxUnavailable(f"Python in WebAssembly does not start: {raw.stderr.decode(errors='replace')}")
        codes = _codes(raw.result, len(names))
        return [("sandbox", None), ("sandbox.guest", None), *zip(names, codes, strict=True)]

    def job(self, source: str, kind: str, payload: dict[str, object]) -> bytes:
        """What an instance reads first: the guest's modules and the step, after their length."""
        modules = self._modules if kind in ("judge", "script") else self._modules[:-2]
        data = marshal.dumps((modules, (source, kind, payload)))
        return len(data).to_bytes(4, "little") + data


def _codes(data: bytes, count: int) -> list[bytes | None]:
    found = marshal.loads(data)  # written by our own code, before any candidate was there
    if not isinstance(found, list) or len(found) != count:
        raise SandboxUnavailable("Python in WebAssembly answers nonsense")
    return found


def _argv(code: str) -> list[str]:
    return ["python", "-I", "-S", "-B", "-c", code]


class _Ticker:
    """Advances the engine's epoch every tick, while at least one instance runs."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._running = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> _Ticker:
        with self._changed:
            self._running += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._tick, name="wasm-ticker", daemon=True)
                self._thread.start()
            self._changed.notify()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._running -= 1

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        while True:
            with self._changed:
                while not self._running and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
            self._engine.increment_epoch()
            time.sleep(TICK_S)
