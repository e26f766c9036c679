"""(task, history) -> messages. Pure. What the model is told, and nothing else it is told.

Everything that comes from a candidate is hostile: it is capped, stripped of control characters, and fenced with a fence
that it does not contain. Hidden checks cannot occur: a `Task` has none, and their results carry no text.
Changing a word here changes what a Cost Field was trained on: raise PROMPT_VERSION.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from atlas.types import AssertCheck, Attempt, CallCheck, Check, Message, StdioCheck, Task, Verdict

PROMPT_VERSION = "1"
STOP = ("\n```\n\n",)
"""Where an answer ends: the closing fence. What a model explains after it would be paid for and thrown away.

With the empty line, for without it an unlabelled *opening* fence after a word of introduction would end the answer too.
"""

SHOWN_CHECKS = 5
FEEDBACK_CHARS = 2_000
PROGRAM_CHARS = 12_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMES = {"python": "Python", "javascript": "JavaScript (Node.js)", "cpp": "C++", "bash": "Bash"}
_FENCES = {"python": "python", "javascript": "javascript", "cpp": "cpp", "bash": "bash"}


def messages(task: Task, history: Sequence[Attempt] = ()) -> tuple[Message, ...]:
    """The conversation that asks for a program: the task, then each earlier attempt and what became of it."""
    out = [Message(role="system", content=_system(task)), Message(role="user", content=_request(task))]
    for attempt in [a for a in history if a.pick is not None and a.verdict is not None][-2:]:
        assert attempt.pick is not None and attempt.verdict is not None
        out.append(Message(role="assistant", content=fenced(attempt.pick.program.source, task, PROGRAM_CHARS)))
        out.append(Message(role="user", content=feedback(attempt.verdict)))
    return tuple(out)


def _system(task: Task) -> str:
    return (
        f"You write {_NAMES[task.language]} programs that work. "
        "Reply with one fenced code block that holds the whole program, and nothing else."
    )


def _request(task: Task) -> str:
    parts = [task.prompt.strip()]
    if task.entry_point and task.entry_point not in task.prompt:
        parts.append(f"Name it `{task.entry_point}`.")
    shown = [show(check) for check in task.checks[:SHOWN_CHECKS]]
    if shown:
        parts.append("It must satisfy:\n" + fence("\n".join(shown), "", FEEDBACK_CHARS))
    return "\n\n".join(parts)


def show(check: Check) -> str:
    """One check as text for the model."""
    match check:
        case AssertCheck():
            return check.code.strip()
        case StdioCheck():
            return f"standard input:\n{check.stdin}\nstandard output:\n{check.stdout}"
        case CallCheck(compare="equal"):
            return f"assert {check.call} == {check.expected}"
        case CallCheck():
            return f"{check.call} -> {check.compare.replace('_', ' ')} {check.expected}"


def feedback(verdict: Verdict) -> str:
    """What went wrong, from visible checks only, in a form that a candidate's output cannot break out of."""
    lines = [f"That program did not pass: {verdict.outcome}."]
    failed = next((r for r in verdict.checks if r.outcome.value != "PASS"), None)
    if failed is None or failed.hidden:
        lines.append("It fails a check that is not shown to you. Look for inputs that it does not handle.")
    else:
        facts = [("check", failed.shown), ("expected", failed.expected), ("actual", failed.actual)]
        facts += [("error", failed.message), ("end of standard error", failed.stderr[-FEEDBACK_CHARS:])]
        lines += [f"{name}:\n{fence(text, '', FEEDBACK_CHARS)}" for name, text in facts if text]
    lines.append("Reply with the whole corrected program.")
    return "\n\n".join(lines)


def fenced(source: str, task: Task, cap: int) -> str:
    """A program as the model would have written it."""
    return fence(source, _FENCES[task.language], cap)


def fence(text: str, language: str, cap: int) -> str:
    """`text` capped (head and tail kept), without control characters, inside a fence that it does not contain."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    if len(text) > cap:
        text = f"{text[: cap // 2]}\n[... {len(text) - cap} characters left out ...]\n{text[-(cap // 2) :]}"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}{language}\n{text}\n{bar}"
