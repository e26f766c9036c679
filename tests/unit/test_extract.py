"""Programs out of answers, however odd."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atlas.extract import candidates, code_span
from atlas.types import Completion, Task
from tests.support.domain import TASK, code

F = "def f(x):\n    return 2 * x\n"

ANSWERS = {
    "plain": (f"```python\n{F}```\n", F),
    "prose around it": (f"Sure!\n\n```python\n{F}```\nThis works because…", F),
    "unclosed, as generation stops before the fence": (f"```python\n{F}", F),
    "no language": (f"```\n{F}```", F),
    "tildes": (f"~~~py\n{F}~~~\nmore", F),
    "tildes inside backticks": (f"```\n{F}# ~~~\n```\nend", F + "# ~~~\n"),
    "a longer closing fence": (f"```python\n{F}`````\nprose", F),
    "a longer opening fence": (f"````python\n{F}# ```\n````\nprose", F + "# ```\n"),
    "no fence at all": (F, F),
    "no fence, blank lines": (f"\n\n{F}\n\n", F),
    "carriage returns": (f"```python\n{F}```\nDone.\n".replace("\n", "\r\n"), F),
    "indented as in a list": ("1. So:\n   ```python\n   def f(x):\n       return 2 * x\n   ```\n   Done.", F),
    "an empty block first": (f"```\n```\n```python\n{F}```", F),
    "a shell block first": (f"```bash\npip install x y\n```\nthen\n```python\n{F}```", F),
    "no line end": ("```python\nprint(1)", "print(1)\n"),
    "cut off in the middle": ("```python\ndef f(x:\n", "def f(x:\n"),
    "an escape that Python warns of": ('```python\ns = "\\d"\n```', 's = "\\d"\n'),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_program_is_found(name: str) -> None:
    text, expected = ANSWERS[name]
    (found,) = candidates(TASK, [Completion(text=text, finish_reason="stop")])
    assert found.program.source == expected


@pytest.mark.parametrize("text", ["", "  \n", "I cannot do that.", "Yes", "a, b", "x > 2", "```python\n```", "42"])
def test_what_holds_no_program_gives_no_candidate(text: str) -> None:
    assert candidates(TASK, [Completion(text=text, finish_reason="stop")]) == []


def test_where_nothing_parses_the_first_block_is_taken() -> None:
    text = "```\nfirst (\n```\n```\nsecond (\n```"
    begin, end = code_span(text, "python") or (0, 0)
    assert text[begin:end] == "first (\n"


def test_other_languages_are_taken_as_they_come_and_need_a_fence() -> None:
    task = Task(id="t", prompt="Sum.", language="bash")
    texts = ["```bash\n  echo $((1+2))\n```", "echo 3"]
    found = candidates(task, [Completion(text=t, finish_reason="stop") for t in texts])
    assert [(c.program.source, c.program.language) for c in found] == [("  echo $((1+2))\n", "bash")]


def test_equal_programs_are_one_candidate_that_knows_its_copies() -> None:
    texts = ["no code", code("a = 1"), code("b = 1"), "Here:\n" + code("a = 1"), code("a = 1")]
    found = candidates(TASK, [Completion(text=t, finish_reason="stop", seed=i) for i, t in enumerate(texts)], 2)
    assert [(c.index, c.copies, c.round) for c in found] == [(1, 3, 2), (2, 1, 2)]
    assert found[0].completion.seed == 1
    assert found[0].digest != found[1].digest


def test_a_program_that_no_sandbox_takes_is_none() -> None:
    huge = Completion(text=code("x = 1\n" * 200_000), finish_reason="stop")
    assert candidates(TASK, [huge, Completion(text=code(F), finish_reason="stop")])[0].index == 1


def test_half_a_surrogate_does_not_end_the_task() -> None:
    (found,) = candidates(TASK, [Completion(text=code("x = '\ud800'"), finish_reason="stop")])
    assert found.program.source == "x = '?'\n"


@settings(deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from("`~\n\r ()xf=1:\"'\\"), st.characters()), max_size=200))
@example("(" * 200)
@example("```\n" + "-" * 5_000 + "1")
def test_no_text_is_too_odd(text: str) -> None:
    span = code_span(text, "python")
    if span is not None:
        begin, end = span
        assert 0 <= begin < end <= len(text) and text[begin:end].strip()
    assert len(candidates(TASK, [Completion(text=text, finish_reason="stop")])) <= 1
