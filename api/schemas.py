"""What clients send: the task, and how to list tasks. Unknown fields are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator

from api.store import ListQuery, TaskOutcome, TaskStatus
from atlas.types import AssertCheck, Budget, CallCheck, Check, Language, Limits, StdioCheck, Task
from sandbox.types import Frozen

MAX_CHECKS = 1_000

Label = Annotated[str, StringConstraints(max_length=512)]
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\w.:/-]+$")]


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) else None


Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
CheckOrText = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[CallCheck, Tag("call")]
    | Annotated[StdioCheck, Tag("stdio")]
    | Annotated[AssertCheck, Tag("assert")],
    Discriminator(
        _kind,
        custom_error_type="unknown_check",
        custom_error_message="a check is a line of Python, or an object whose kind is call, stdio or assert",
    ),
]


class _Fields(Frozen):
    prompt: str = Field(min_length=1, max_length=100_000)
    language: Language = "python"
    entry_point: str | None = Field(default=None, max_length=200, pattern=r"^[A-Za-z_]\w*$")
    limits: Limits = Limits()
    seed: int = Field(default=0, ge=0, lt=2**31)
    labels: dict[LabelName, Label] = Field(default_factory=dict, max_length=16)

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("is empty")
        return prompt


class TaskRequest(_Fields):
    """A task to be solved.

    `checks` may be shown to the model; `hidden_checks` never are, nor do they appear in any answer. A check may be
    written as plain Python: ``"f(2) == 4"``.
    """

    budget: Budget = Field(default=Budget(), description="Fields left out take the service's defaults.")
    checks: tuple[CheckOrText, ...] = Field(default=(), max_length=MAX_CHECKS)
    hidden_checks: tuple[CheckOrText, ...] = Field(default=(), max_length=MAX_CHECKS)


class TaskSpec(_Fields):
    """A task as it is kept: like `TaskRequest`, with every check read and the budget whole."""

    budget: Budget
    checks: tuple[Check, ...]
    hidden_checks: tuple[Check, ...]

    @property
    def n_visible(self) -> int:
        """How many results of a verdict may be shown: one a visible check, and that of loading where there is none."""
        return len(self.checks) if self.checks or self.hidden_checks else 1

    def task(self, task_id: str) -> Task:
        """The task of the domain; hidden checks stay outside it."""
        return Task(
            id=task_id, prompt=self.prompt, language=self.language, entry_point=self.entry_point,
            checks=self.checks, limits=self.limits,
        )


class TaskFilter(Frozen):
    """Query of the task list, in the manner of OpenAI's lists. `after` is the last id of the page before."""

    limit: int = Field(default=20, ge=1, le=100)
    after: str | None = Field(default=None, max_length=64, pattern=r"^task_[0-9A-Z]{26}$")
    order: Literal["asc", "desc"] = "desc"
    status: TaskStatus | None = None
    outcome: TaskOutcome | None = None

    def query(self) -> ListQuery:
        return ListQuery(
            limit=self.limit, after=self.after, newest_first=self.order == "desc",
            status=self.status, outcome=self.outcome,
        )
