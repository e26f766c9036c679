"""Reading the checks of a request: plain text becomes an assert check, and what does not parse is refused.

Parsing megabytes takes seconds, so callers do this in a thread.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from typing import Literal

from fastapi.exceptions import RequestValidationError

from api.schemas import CheckOrText, TaskRequest, TaskSpec
from atlas.types import AssertCheck, CallCheck, Check


def read(request: TaskRequest) -> TaskSpec:
    """The task with every check read. Raises RequestValidationError with one entry per unreadable check."""
    errors: list[dict[str, object]] = []
    checks = _read_all("checks", request.checks, request.language == "python", errors)
    hidden = _read_all("hidden_checks", request.hidden_checks, request.language == "python", errors)
    if errors:
        raise RequestValidationError(errors)
    fields = {name: getattr(request, name) for name in TaskRequest.model_fields}
    return TaskSpec.model_construct(**(fields | {"checks": checks, "hidden_checks": hidden}))


def _read_all(
    field: str, checks: Sequence[CheckOrText], is_python: bool, errors: list[dict[str, object]]
) -> tuple[Check, ...]:
    found: list[Check] = []
    for index, check in enumerate(checks):
        try:
            found.append(_read(check, is_python))
        except ValueError as exc:
            errors.append({"type": "unreadable_check", "loc": ("body", field, index), "msg": str(exc)})
    return tuple(found)


def _read(check: CheckOrText, is_python: bool) -> Check:
    if isinstance(check, str):
        return AssertCheck(code=_assertion(check.strip()))
    if isinstance(check, CallCheck):
        tree = _parse(check.call, "eval")
        if not (isinstance(tree, ast.Expression) and isinstance(tree.body, ast.Call)):
            raise ValueError("`call` is not one call, such as f(2)")
        _parse(check.expected, "eval")
    elif isinstance(check, AssertCheck) and is_python:
        _parse(check.code, "exec")
    return check


def _assertion(text: str) -> str:
    """The assert script that `text` stands for: itself, or for an expression the assertion that it holds."""
    try:
        tree = _parse(text, "eval")
    except ValueError:
        _parse(text, "exec")
        return text
    if not any(isinstance(node, ast.Name) for node in ast.walk(tree)):
        raise ValueError("says nothing about the program: it uses no name that the program could define")
    return f"assert {text}"


def _parse(source: str, mode: Literal["eval", "exec"]) -> ast.AST:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's "\d", say: not for our log
            return ast.parse(source, mode=mode)
    except SyntaxError as exc:
        raise ValueError(f"is not Python: {exc.msg} (line {exc.lineno})") from exc
    except (RecursionError, MemoryError) as exc:
        raise ValueError("is nested too deeply to be read") from exc
