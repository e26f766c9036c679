"""Runs one step of a check beside the candidate, in a process that does nothing else. Standard library only.

The process is given inputs and never an expected value. It writes one frame to `result_fd`: four bytes of length
(little endian) and one encoded tuple:

    ("end", values)                             every operation ran; `values` holds one entry for each that gives one
    ("raised", values, phase, error)            an exception ended the step in "load", "setup" or "call"
    ("exit", values, phase, status)             the program ended itself through SystemExit
    ("syntax", message)                         the program does not compile

An entry of `values` is ("value", v) or ("error", error); an error is (names of the exception's classes, text, place).
A process that ends without a frame gave no answer. A candidate can write to the same descriptor: then it has chosen
what it returned, or there are two frames and the host calls that tampering.
"""

from __future__ import annotations

import builtins
import sys
from posix import write as _write

from sandbox.guest.encode import encode, sequence

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself takes longer to import than many a candidate to run
    from collections.abc import Callable
    from typing import Any, TextIO

# Functions below keep these, whatever the candidate does to `builtins`.
_builtins = globals()["__builtins__"] = dict(vars(builtins))

FILE = "<program>"
DO, GET, TRY, ASK = 0, 1, 2, 3
MAX_TEXT = 4_000
MAX_NAME = 200
RECURSION_LIMIT = 5_000

_modules = sys.modules
_mro = type.__dict__["__mro__"].__get__
_type_name = type.__dict__["__name__"].__get__
_trace = BaseException.__dict__["__traceback__"].__get__
_set_recursion_limit = sys.setrecursionlimit
_phase = ["load"]


class Scope(dict):  # type: ignore[type-arg]
    """Names of the check. What it does not define is looked up in the program, at that moment."""

    program: dict[str, Any]

    def __missing__(self, name: str) -> Any:
        return self.make if name == "__make__" else _written if name == "__written__" else self.program[name]

    def make(self, names: list[str], fill: Callable[[list[Any]], tuple[list[dict[str, Any]], Any]]) -> Any:
        """Objects of classes of the program, made without calling the classes; see `sandbox.replay`."""
        made = [object.__new__(self.program[name]) for name in names]
        attributes, value = fill(made)
        for item, content in zip(made, attributes, strict=True):
            for key, part in content.items():
                object.__setattr__(item, key, part)
        return value


def _written(value: Any) -> bytes:
    """A value's bytes, by which can be told whether a call has changed it; see `sandbox.replay`."""
    return encode(value, True)


def run_step(source: str, kind: str, payload: dict[str, Any], result_fd: int) -> None:
    """Do one step and write its frame.

    `kind` is "load" (run the program as a module), "call" (load, then the operations of `payload["ops"]`: [DO, code],
    [GET, expression], [TRY, code], [ASK, expression]), "stdio" (run as `__main__`), "script" (load, then run
    `payload["code"]`) or "judge" (`source` is an assert script; see `sandbox.guest.judge`).
    """
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    if kind == "judge":
        from sandbox.guest import judge

        _send(result_fd, judge.run(source, payload))
        _flush(streams)
        return
    values: list[bytes] = []
    try:
        frame = _step(source, kind, payload, values)
    except SystemExit as exit:
        frame = [encode("exit"), sequence(b"l", values), encode(_phase[0]), encode(_status(exit))]
    except BaseException as error:  # noqa: BLE001 - whatever a candidate can raise is a fact about the candidate
        _set_recursion_limit(RECURSION_LIMIT)
        frame = [encode("raised"), sequence(b"l", values), encode(_phase[0]), _error(error)]
        _print_error(error)
    if kind == "stdio":
        _finish()
    _send(result_fd, sequence(b"t", frame))
    _flush((sys.stdout, sys.stderr, *streams))


def _step(source: str, kind: str, payload: dict[str, Any], values: list[bytes]) -> list[bytes]:
    """The encoded parts of the frame. Exceptions of the candidate pass through."""
    _phase[0] = "load"
    try:
        code = compile(source, FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        name, text = _name(type(error)), _text(error)
        _print_line(f"{name}: {text}")
        return [encode("syntax"), encode(text or name)]
    module = type(sys)("__main__" if kind == "stdio" else "program")
    _modules[module.__name__] = module
    space = module.__dict__
    space["__builtins__"] = builtins
    exec(code, space)  # noqa: S102
    scope = Scope(__builtins__=builtins, __name__="__main__")
    scope.program = space
    if kind == "script":
        from sandbox.guest import testing

        _phase[0] = "call"
        _modules.setdefault("pytest", testing.module(bool))
        exec(compile(payload["code"], "<check>", "exec", dont_inherit=True), scope)  # noqa: S102
    for op, text in payload["ops"] if kind == "call" else ():
        _operate(op, text, scope, values)
    return [encode("end"), sequence(b"l", values)]


def _operate(op: int, text: str, scope: Scope, values: list[bytes]) -> None:
    """One operation of a call check; GET and TRY append an entry to `values`."""
    if op == DO:
        _phase[0] = "setup"
        exec(compile(text, "<check>", "exec", dont_inherit=True), scope)  # noqa: S102
        return
    _phase[0] = "call"
    try:
        if op == TRY:
            exec(compile(text, "<check>", "exec", dont_inherit=True), scope)  # noqa: S102
            value = None
        else:
            value = eval(compile(text, "<check>", "eval", dont_inherit=True), scope)
        _set_recursion_limit(RECURSION_LIMIT)
        entry = [encode("value"), encode(value, op == ASK)]
    except BaseException as error:
        if op == GET:
            raise
        _set_recursion_limit(RECURSION_LIMIT)
        entry = [encode("error"), _error(error)]  # the host knows which exception was wanted; this process must not
    values.append(sequence(b"t", entry))


def _name(kind: type) -> str:
    """The name of a class, whatever its metaclass says."""
    name = _type_name(kind)
    return name[:MAX_NAME] if type(name) is str else "?"


def _full_name(kind: type) -> str:
    """The name of a class, marked where the program has given its own a built-in one's name."""
    name = _name(kind)
    return name if _builtins.get(name, kind) is kind else f"program.{name}"


def _error(error: BaseException) -> bytes:
    """An exception as encoded (names of its classes, most derived first; text; place in the program)."""
    names = tuple(map(_full_name, _mro(type(error))[:MAX_NAME]))
    return encode((names, _text(error), _place(error)))


def _text(error: BaseException) -> str:
    """What an exception says. Its own `__str__` is candidate code, so it may fail."""
    try:
        text = error.msg if type(error) is SyntaxError else str(error)
        if type(error) is SyntaxError and error.lineno is not None:
            text = f"{text} (line {error.lineno})"
        return text[:MAX_TEXT] if type(text) is str else "?"
    except BaseException:  # noqa: BLE001 - a candidate's __str__ may raise anything, even SystemExit
        return "?"


def _place(error: BaseException) -> str:
    """'line 3, in f' of the innermost frame that is the program's own; empty where there is none."""
    place, trace = "", _trace(error)
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == FILE:
            place = f"line {trace.tb_lineno}, in {code.co_name[:MAX_NAME]}"
        trace = trace.tb_next
    return place


def _print_error(error: BaseException) -> None:
    """Name the exception on standard error, as the interpreter would."""
    place = _place(error)
    _print_line(f"{_name(type(error))}: {_text(error)}" + (f" ({place})" if place else ""))


def _print_line(text: str) -> None:
    try:
        _write(2, text.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:
        pass  # standard error was closed by the candidate; the frame says the same


def _status(exit: SystemExit) -> int:
    """The exit status that SystemExit stands for, by the interpreter's own rules."""
    code = exit.code
    if code is None:
        return 0
    if type(code) is int:
        return code & 0xFF
    _print_line(str(code)[:MAX_TEXT] if type(code) is str else "?")
    return 1


def _finish() -> None:
    """What the interpreter does at its end: wait for threads, then run the exit functions."""
    try:
        threading = _modules.get("threading")
        if threading is not None:
            threading._shutdown()
        import atexit

        atexit._run_exitfuncs()
    except BaseException as error:  # noqa: BLE001 - an exit function may raise anything; the interpreter only prints it, too
        _print_error(error)


def _flush(streams: tuple[TextIO, ...]) -> None:
    for stream in streams:
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001 - the candidate closed or replaced it; what it lost is its own
            pass


def _send(fd: int, body: bytes) -> None:
    data = len(body).to_bytes(4, "little") + body
    while data:
        data = data[_write(fd, data) :]
