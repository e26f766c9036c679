"""Reading the checks of a request: plain text becomes a check, and what cannot be read or checks nothing is refused.

Parsing megabytes takes seconds, so callers do this in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.schemas import CheckOrText, TaskRequest, TaskSpec
from atlas.types import Budget, Check, Language, StdioCheck
from sandbox.checks import parse_check, validate_check
from sandbox.errors import InvalidCheck


def read(request: TaskRequest, default: Budget) -> tuple[TaskSpec, str]:
    """The task with every check read and its budget filled up from `default`, and the JSON that it is kept as.

    Raises RequestValidationError with one entry per check that cannot be used.
    """
    errors: list[dict[str, Any]] = []
    checks = _read_all("checks", request.checks, request.language, errors)
    hidden = _read_all("hidden_checks", request.hidden_checks, request.language, errors)
    if errors:
        raise RequestValidationError(errors)
    fields = {name: getattr(request, name) for name in TaskRequest.model_fields}
    budget = default.model_copy(update=request.budget.model_dump(exclude_unset=True))
    fields |= {"checks": checks, "hidden_checks": hidden, "budget": budget}
    kept = TaskSpec.model_construct(**fields).model_dump_json()
    try:
        return TaskSpec.model_validate_json(kept), kept  # what cannot be read back, infinity say, is refused now
    except ValidationError as exc:
        raise RequestValidationError(
            [{"type": e["type"], "loc": ("body", *e["loc"]), "msg": e["msg"]} for e in exc.errors()]
        ) from exc


def _read_all(
    field: str, checks: Sequence[CheckOrText], language: Language, errors: list[dict[str, Any]]
) -> tuple[Check, ...]:
    found: list[Check] = []
    for index, check in enumerate(checks):
        try:
            found.append(_read(check, language))
        except InvalidCheck as exc:
            # The reader may quote the check, and what is hidden is quoted nowhere.
            said = str(exc) if field == "checks" else "the check cannot be read, or checks nothing"
            errors.append({"type": "invalid_check", "loc": ("body", field, index), "msg": said})
    return tuple(found)


def _read(check: CheckOrText, language: Language) -> Check:
    if language != "python" and not isinstance(check, StdioCheck):
        raise InvalidCheck(f"programs in {language} are checked by standard input and output only")
    if isinstance(check, str):
        return parse_check(check)
    validate_check(check)
    return check
