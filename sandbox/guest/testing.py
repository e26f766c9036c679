"""As much of pytest as assert scripts use: raises, approx and fail. Standard library only."""

from __future__ import annotations

import math
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Raises:
    """The context manager of `pytest.raises`."""

    is_pending: Callable[[], bool]

    def __init__(self, expected: Any, match: str | None = None) -> None:
        self.expected = expected
        self.match = match
        self.value: BaseException | None = None

    def __enter__(self) -> Raises:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if kind is None:
            if self.is_pending():
                return True
            raise AssertionError(f"did not raise {self.expected}")
        if not issubclass(kind, self.expected):
            return False
        self.value, self.type = error, kind
        if self.match is not None:
            import re

            assert re.search(self.match, str(error)), f"{str(error)!r} does not match {self.match!r}"
        return True


class Approx:
    """What `pytest.approx` returns: equal to numbers nearby, also inside lists, tuples and dicts."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float = 1e-6, abs: float = 1e-12) -> None:
        self.expected = expected
        self.rel = rel
        self.abs = abs

    def __eq__(self, actual: Any) -> bool:
        return self.close(actual, self.expected)

    def close(self, actual: Any, expected: Any) -> bool:
        """Whether two values agree in every number."""
        if isinstance(expected, (list, tuple)):
            return len(actual) == len(expected) and all(map(self.close, actual, expected))
        if isinstance(expected, dict):
            return actual.keys() == expected.keys() and all(self.close(actual[key], expected[key]) for key in expected)
        return math.isclose(actual, expected, rel_tol=self.rel, abs_tol=self.abs)


def fail(reason: str = "") -> None:
    """Fail, as `pytest.fail` does."""
    raise AssertionError(reason)


def module(is_pending: Callable[[], bool]) -> Any:
    """A module to stand in for pytest. While `is_pending`, an exception that was not raised may yet be."""
    made = type(sys)("pytest")
    bound = type("raises", (Raises,), {"is_pending": staticmethod(is_pending)})
    made.__dict__.update(raises=bound, approx=Approx, fail=fail)
    return made
