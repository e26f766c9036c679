"""What an assert script sees of the program, which is in another process. Standard library only.

A `Remote` is a name of the program or an object that lives there; a `Pending` is the answer to a call that has not
been made yet.

The program decides what its objects are, never what they are worth. Their lengths, items, attributes, texts and truth
are asked for, and what comes back is plain data that is judged here. An operator between two of them is asked for too.
But beside a plain value an object of the program behaves like a bare `object`: equal to nothing, in no order, without
arithmetic. Its own operator would be told what is wanted, and could say yes to everything.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Asking(Protocol):
        """Where answers come from."""

        def ask(self, call: tuple[Any, ...]) -> Any:
            """The answer to (path, args, kwargs) or (path,): a value, a Remote or a Pending."""
            ...

        def refuse(self, reason: str) -> None:
            """End the run: the script needs what cannot be asked for."""
            ...


class Unknown(BaseException):
    """A value was used that is not known yet."""


class Pending:
    """The result of a call that has not been made yet. Any use raises Unknown."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        raise Unknown


PREDICATES = frozenset("count endswith find index isdisjoint issubset issuperset startswith".split())
"""Methods of plain values that are told what is wanted. An object in the place of a value is not asked them."""


class Remote:
    """A name of the program, or an object that lives in its process."""

    def __init__(self, asking: Asking, path: tuple[str, ...], stands_for_value: bool = False) -> None:
        self.__dict__.update(_asking=asking, _path=path, _stands_for_value=stands_for_value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._asking.ask((self._path, args, kwargs))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (self._stands_for_value and name in PREDICATES):
            raise AttributeError(name)
        return Remote(self._asking, (*self._path, name))

    def __setattr__(self, name: str, value: Any) -> None:
        self._asking.ask((("setattr",), (self, name, value), {}))

    def __instancecheck__(self, value: Any) -> bool:
        return bool(known(self._asking, ("isinstance",), value, self))


ASKED = "len next str repr int float bool abs".split()
METHODS = "getitem index format".split()
BETWEEN = (
    "lt le gt ge add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow and rand or ror xor "
    "rxor matmul"
).split()
REFUSED = "enter exit".split()
OTHERS = "eq ne hash contains iter neg round".split()


def known(asking: Asking, path: tuple[str, ...], *args: Any) -> Any:
    """The answer to a call, for those who cannot do without it."""
    value = asking.ask((path, args, {}))
    if type(value) is Pending:
        raise Unknown
    return value


def items(remote: Remote) -> list[Any]:
    """What an object holds: all at once where that is plain data, else one by one."""
    whole = known(remote._asking, ("list",), remote)
    if not isinstance(whole, Remote):
        return list(whole)
    count = known(whole._asking, ("len",), whole)
    return [known(whole._asking, (*whole._path, "__getitem__"), at) for at in range(count)]


def use(remote: Remote, name: str, args: tuple[Any, ...]) -> Any:
    """What the operator `name` makes of an object that lives in the program's process."""
    asking = remote._asking
    between = len(args) == 1 and isinstance(args[0], Remote)
    if name in METHODS or (between and name in ("eq", "ne", *BETWEEN)):
        return known(asking, (*remote._path, f"__{name}__"), *args)
    if name in ("eq", "ne"):
        return name == "ne"
    if name in ASKED:
        return known(asking, (name,), remote)
    if name == "hash":
        return 0  # so that objects meet in a set, and are then compared
    if name == "contains":
        return args[0] in items(remote)
    if name == "iter":
        return iter(items(remote))
    if name in REFUSED:
        asking.refuse(f"it uses an object of the program: {name}")
    raise TypeError(f"an object of the program beside a plain value: {name} is not for it to decide")


def _use_pending(self: Pending, *args: Any) -> Any:
    raise Unknown


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: Remote, *args: Any) -> Any:
        value = self._asking.ask((self._path,))
        if not isinstance(value, Remote):
            if name in BETWEEN and not hasattr(value, f"__{name}__"):
                return NotImplemented
            return getattr(value, f"__{name}__")(*args)
        return use(value, name, args)

    return operate


for _name in (*ASKED, *METHODS, *BETWEEN, *REFUSED, *OTHERS):
    setattr(Pending, f"__{_name}__", _use_pending)
    setattr(Remote, f"__{_name}__", _operator(_name))
