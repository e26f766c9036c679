"""Arguments that went through JSON get their Python types back, by the example of arguments that did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class ShapeError(ValueError):
    """The examples don't say what type a JSON value had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a value may be made of, learned from examples.

    `sequence` is the type that a JSON array had (list, tuple or set), None where no example held a sequence.
    `element` is the shape of its elements, `key` and `value` those of a dict's.
    """

    sequence: type[Any] | None = None
    element: Shape | None = None
    key: Shape | None = None
    value: Shape | None = None
    scalar: frozenset[type[Any]] = frozenset()

    @classmethod
    def of(cls, examples: Sequence[Any]) -> Shape:
        """The one shape of all `examples`. Raises ShapeError where a list and a tuple stand in the same place."""
        sequences = {type(e) for e in examples if isinstance(e, list | tuple | set | frozenset)}
        if len(sequences) > 1:
            raise ShapeError(f"{' and '.join(sorted(t.__name__ for t in sequences))} stand in one place")
        elements = [x for e in examples if isinstance(e, list | tuple | set | frozenset) for x in e]
        dicts = [e for e in examples if isinstance(e, dict)]
        return cls(
            sequence=next(iter(sequences), None),
            element=cls.of(elements) if elements else None,
            key=cls.of([k for d in dicts for k in d]) if dicts else None,
            value=cls.of([v for d in dicts for v in d.values()]) if dicts else None,
            scalar=frozenset(type(e) for e in examples if isinstance(e, str | int | float | complex | bool)),
        )

    def restore(self, value: Any) -> Any:
        """`value`, with its JSON arrays as the sequences and its keys as the scalars that the examples had."""
        if isinstance(value, list):
            element = self.element or Shape()
            items = [element.restore(x) for x in value]
            return (self.sequence or list)(items)
        if isinstance(value, dict):
            return {_key(self.key, k): (self.value or Shape()).restore(v) for k, v in value.items()}
        return value


def _key(shape: Shape | None, key: str) -> Any:
    """JSON keys are text; integer keys come back as integers."""
    if shape is not None and shape.scalar == {int}:
        try:
            return int(key)
        except ValueError as error:
            raise ShapeError(f"the key {key!r} should be a whole number") from error
    return key


def literal_call(function: str, arguments: Any, shapes: Sequence[Shape]) -> str:
    """A call expression with the restored arguments as Python literals.

    Raises ShapeError where the number of arguments differs or a value cannot be written as a literal.
    """
    if not isinstance(arguments, list) or len(arguments) != len(shapes):
        raise ShapeError(f"{function} takes {len(shapes)} arguments in its asserts, another number here")
    restored = [shape.restore(value) for shape, value in zip(shapes, arguments, strict=True)]
    return f"{function}({', '.join(map(_literal, restored))})"


def _literal(value: Any) -> str:
    """`repr`, with infinities and NaN as calls that a checker reads."""
    text = repr(value)
    if "inf" in text or "nan" in text:
        return _spelled(value)
    return text


def _spelled(value: Any) -> str:
    if isinstance(value, float):
        return f"float({str(value)!r})" if value != value or value in (float("inf"), float("-inf")) else repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_spelled, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_spelled, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_spelled(k)}: {_spelled(v)}" for k, v in value.items()) + "}"
    return repr(value)
