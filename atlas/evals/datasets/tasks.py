"""Atlas's own format, `tasks.jsonl`: one task a line, with its hidden checks and its reference solution beside it.

    {"id": "double", "prompt": "Write double(n), which returns twice n.", "entry_point": "double",
     "checks": [{"kind": "call", "call": "double(2)", "expected": "4"}],
     "hidden": [{"kind": "call", "call": "double(-3)", "expected": "-6"}],
     "reference": "def double(n):\\n    return 2 * n\\n"}

Everything but `id` and `prompt` may be left out.
"""

from __future__ import annotations

import json

from pydantic import Field, ValidationError

from atlas.errors import ConfigError
from atlas.evals.datasets.files import Content
from atlas.evals.problems import Excluded, Problem
from atlas.types import Check, Program, Task


class Line(Task):
    """One line: a task's own fields, and what must not be in a task."""

    hidden: tuple[Check, ...] = Field(default=(), max_length=10_000)
    reference: str | None = Field(default=None, max_length=1_000_000)
    group: str = Field(default="", max_length=200, description="Problems of one group stay on one side of a split.")


def parse(content: Content) -> tuple[list[Problem], list[Excluded]]:
    """Every line. Raises ConfigError naming the line and the field that is wrong."""
    problems = []
    for number, row in content.rows():
        try:
            line = Line.model_validate_json(json.dumps(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the object"
            raise ConfigError(f"{content.origin}, line {number}: {where}: {first['msg']}") from error
        own = {name: getattr(line, name) for name in Task.model_fields}
        problems.append(
            Problem(
                task=Task(**own),
                hidden=line.hidden,
                dataset="tasks",
                reference=None if line.reference is None else Program(source=line.reference, language=line.language),
                near_duplicate_group=line.group,
            )
        )
    return problems, []
