"""Runs an assert script in a process that has never seen the candidate. Standard library only.

Names that the script does not define are the program's. Calling one asks for an answer; the host gets answers by
making the call in another process, and starts this one again with them, so judge and candidate never run side by side.
What the script computes must not differ from run to run, hence the fixed seed.

An unanswered call gives a `Pending` value. Using it skips the statement (the host has wrapped every one), so that one
run collects as many calls as it can. Nothing is concluded from a run in which a call was pending.

The frame is one of

    ("need", calls)                 all calls up to here, answered ones first, each encoded by itself; a call is
                                    (path, args, kwargs), or (path,) for the value of a name
    ("passed",)                     the script ran to its end, with an answer to every call
    ("failed", text, line)          an assert failed, in this line of the script
    ("raised", error, line, whose)  an exception; `whose` is "program" where a call of the program raised it
    ("unproxied", reason)           the script does with the program what calls by value cannot do
    ("endless", reason)             the program's answers make the script ask without end
"""

from __future__ import annotations

import builtins
import operator
import sys

from sandbox.guest import testing
from sandbox.guest.encode import Encoder, TooLarge, encode
from sandbox.guest.remote import Pending, Remote, Unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FILE = "<check>"
MAX_CALLS = 2_000


class Unproxied(BaseException):
    """The script does something that calls by value cannot do."""


class Asking:
    """The calls that the script has made in this run, and the answers that are known.

    An answer is good for the same call at the same place. At another place it is only a guess, good for finding out
    which calls come next; then nothing is concluded until the calls have been made in the order of the script.
    """

    def __init__(self, answers: list[list[Any]], scope: Names) -> None:
        self.answers = answers
        self.scope = scope
        self.calls: list[bytes] = []
        self.values: list[bool] = []
        """Whether a plain value is to be expected of each call, judged by its looks; see `sandbox.split`."""
        self.pending = False
        self.guessed = False
        self.refused = ""
        self.endless = False
        self.elsewhere: dict[str, list[int]] = {}
        for index in range(len(answers) - 1, -1, -1):
            self.elsewhere.setdefault(answers[index][0], []).append(index)

    def complete(self) -> bool:
        """Whether every call had its answer, in the order in which the program was asked."""
        return not (self.pending or self.guessed) and len(self.calls) == len(self.answers)

    def refuse(self, reason: str) -> None:
        """End the run. The reason is kept, for a script may catch everything."""
        self.refused = self.refused or reason
        raise Unproxied(reason)

    def ask(self, call: tuple[Any, ...]) -> Any:
        """The answer to a call, or Pending. Raises what the program raised."""
        if len(self.calls) >= MAX_CALLS:
            self.endless = bool(self.answers)  # it is the program's answers that lead on and on
            self.refuse(f"it makes more than {MAX_CALLS} calls")
        written, index = self.written(call), len(self.calls)
        self.calls.append(written)
        self.values.append(len(call) > 1 and call[0][-1][:1].islower())
        text = written.decode("latin-1")
        found = self.elsewhere.get(text)
        if index < len(self.answers) and self.answers[index][0] == text:
            return self.answered(index, call, *self.answers[index][1:])
        if found and self.answers[found[-1]][2] != "object":
            self.guessed = True
            return self.answered(index, call, *self.answers[found.pop() if len(found) > 1 else found[0]][1:])
        self.pending = True
        return Pending()

    def answered(self, index: int, call: tuple[Any, ...], changed: str, kind: str, *parts: Any) -> Any:
        space = {"__make__": self.scope.make}
        if changed:  # the call has changed its arguments in place
            renewed(call[1:], eval(changed, space))
        if kind == "value":
            return eval(parts[0], space)  # the host wrote it, of decoded values
        if kind == "object":
            return Remote(self, (f"_r{index}",), self.values[index])
        raise _exception(*parts)

    def written(self, call: tuple[Any, ...]) -> bytes:
        """The call as bytes that can travel and be compared."""
        out = CallEncoder(self.scope)
        try:
            out.value(call)
        except TooLarge as error:
            if self.answers:  # the program may have made it so large
                raise OverflowError(f"an argument cannot travel: {error}") from None
            self.refuse(f"an argument cannot travel: {error}")
        if out.lossy:
            self.refuse(f"it gives {'.'.join(call[0])} something that is no plain data")
        return b"".join(out.parts)


def renewed(one: Any, other: Any) -> Any:
    """`one`, with the content of `other` put into it in place; `other` where that cannot be."""
    kind = type(one)
    if kind is not type(other) or kind is Remote:
        return other
    if kind in (list, tuple):
        parts = [*map(renewed, one, other), *other[len(one) :]]
        if kind is tuple:
            same = len(one) == len(parts) and all(map(operator.is_, one, parts))
            return one if same else tuple(parts)
        one[:] = parts
    elif kind is dict:
        content = {key: renewed(one[key], part) if key in one else part for key, part in other.items()}
        one.clear()
        one.update(content)
    elif kind in (set, bytearray):
        one.clear()
        (one.update if kind is set else one.extend)(other)
    elif hasattr(one, "__dict__"):
        renewed(vars(one), vars(other))
    else:
        return other
    return one


class CallEncoder(Encoder):
    """Writes calls: besides values, names of the program and objects that live in its process."""

    def __init__(self, scope: Names) -> None:
        super().__init__(objects=True)
        self.scope = scope

    def instance(self, kind: type, value: Any, depth: int) -> bool:
        """Only what is of a class of the script can be made anew on the other side."""
        return self.scope.get(kind.__name__) is kind and super().instance(kind, value, depth)

    def container(self, kind: type, value: Any, depth: int) -> None:
        if kind is Pending:
            raise Unknown
        if kind is Remote:
            self.items(b"P", value._path, depth)
        else:
            super().container(kind, value, depth)


class Names(dict):  # type: ignore[type-arg]
    """Names of the script. One that is neither there nor built in is the program's."""

    asking: Asking
    shadows: frozenset[str]

    def __missing__(self, name: str) -> Any:
        if name in self.shadows or not hasattr(builtins, name):
            return Remote(self.asking, (name,))
        raise KeyError(name)

    def make(self, names: list[str], fill: Callable[[list[Any]], tuple[list[dict[str, Any]], Any]]) -> Any:
        """Objects of classes of the script, made without calling the classes; see `sandbox.replay`."""
        made = [object.__new__(self[name]) for name in names]
        attributes, value = fill(made)
        for item, content in zip(made, attributes, strict=True):
            for key, part in content.items():
                object.__setattr__(item, key, part)
        return value


class Main(type(sys)):  # type: ignore[misc]
    """The script as a module, for libraries that look for it there."""

    scope: Names

    def __dir__(self) -> list[str]:
        return list(self.scope)

    def __getattr__(self, name: str) -> Any:
        if name not in self.scope:
            raise AttributeError(name)
        return self.scope[name]


class _FromProgram(Exception):
    """Base of exceptions that are no built-in ones."""


def _exception(names: list[str], text: str) -> BaseException:
    """An exception of the class that the program raised, as far as its name is known here."""
    base = next((getattr(builtins, name) for name in names if hasattr(builtins, name)), Exception)
    if not (isinstance(base, type) and issubclass(base, BaseException)):
        base = Exception
    kind = base if names[0] == base.__name__ else type(names[0], (base,), {})
    try:
        error: BaseException = kind(text)
    except TypeError:  # such as UnicodeDecodeError, which wants five arguments
        error = _FromProgram(f"{names[0]}: {text}")
    error.from_program = True  # type: ignore[attr-defined]
    return error


def run(code: str, payload: dict[str, Any]) -> bytes:
    """Run the script once; the frame's encoded content."""
    return encode(_ended(code, payload))


def _ended(code: str, payload: dict[str, Any]) -> tuple[Any, ...]:
    scope = Names(__name__="__main__", __builtins__=builtins, __Unknown__=Unknown, __pending__=Pending())
    scope.shadows = frozenset(payload["shadows"])
    asking = scope.asking = Asking(payload["answers"], scope)
    if payload["seeded"]:
        import random

        random.seed(payload["seed"])
    main = sys.modules["__main__"] = Main("__main__")
    main.scope = scope
    sys.modules["pytest"] = testing.module(lambda: asking.pending)
    end = _outcome(code, scope)
    if asking.refused:
        return ("endless" if asking.endless else "unproxied", asking.refused)
    return end if asking.complete() else ("need", asking.calls)


def _outcome(code: str, scope: Names) -> tuple[Any, ...]:
    try:
        exec(compile(code, FILE, "exec", dont_inherit=True), scope)  # noqa: S102
    except AssertionError as error:
        return ("failed", str(error), _line(error))
    except BaseException as error:  # noqa: BLE001 - whatever a script raises is how it ended
        by_program = getattr(error, "from_program", False)
        if isinstance(error, SystemExit) and not by_program:
            return ("failed", f"the script exits with {error.code}", _line(error)) if error.code else ("passed",)
        names = tuple(kind.__name__ for kind in type(error).__mro__)
        return ("raised", (names, str(error), ""), _line(error), "program" if by_program else "script")
    return ("passed",)


def _line(error: BaseException) -> int:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
