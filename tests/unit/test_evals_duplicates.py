"""Families: near-duplicates are found by text and by code, across data sets, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

from atlas.evals.duplicates import grouped, runs
from atlas.evals.label import apart
from atlas.types import Program
from tests.support.evals import problem

SOLUTION = """
def longest(text, wanted):
    best, start = 0, 0
    for end in range(len(text)):
        while text[start:end + 1].count(wanted) > 2 and start < end:
            start += 1
        best = max(best, end - start + 1)
    return best
"""


def several() -> list:  # type: ignore[type-arg]
    return [problem(f"p{i}") for i in range(30)]


def test_unrelated_problems_stay_by_themselves() -> None:
    assert [p.group for p in grouped(several())] == [f"p{i}" for i in range(30)]


def test_the_same_text_up_to_case_and_punctuation_is_one_family() -> None:
    problems = several()
    text = problems[3].task.prompt
    problems[17] = replace(
        problems[17], task=problems[17].task.model_copy(update={"prompt": text.upper().replace(".", " !")})
    )
    assert grouped(problems)[17].group == "p3"


def test_the_same_solution_with_other_names_is_one_family() -> None:
    problems = several()
    renamed = SOLUTION.replace("text", "s").replace("wanted", "c").replace("best", "most").replace("longest", "span")
    problems[5] = replace(problems[5], reference=Program(source=SOLUTION))
    problems[9] = replace(problems[9], reference=Program(source=f"# another comment\n{renamed}"))
    problems[11] = replace(problems[11], reference=Program(source="def f(a):\n    return a\n"))
    problems[12] = replace(problems[12], reference=Program(source="def g(b):\n    return b\n"))
    groups = [p.group for p in grouped(problems)]
    assert groups[9] == "p5"
    assert groups[11] != groups[12], "one-line solutions agree by chance"


def test_families_are_connected_through_others_and_through_given_names() -> None:
    problems = several()
    problems[20] = replace(problems[20], near_duplicate_group="mine")
    problems[25] = replace(problems[25], near_duplicate_group="mine")
    problems[28] = replace(problems[28], task=problems[28].task.model_copy(update={"prompt": problems[25].task.prompt}))
    groups = [p.group for p in grouped(problems)]
    assert groups[20] == groups[25] == groups[28] == "p20"


def test_code_that_does_not_tokenize_has_no_runs() -> None:
    assert runs("def f(:\n  '''") == set()


def test_what_is_near_a_problem_kept_for_measuring_is_left_out_by_name() -> None:
    problems = several()
    guard = replace(problem("guard"), task=problem("guard").task.model_copy(update={"prompt": problems[7].task.prompt}))
    kept, left_out = apart(problems, [guard, problem("other")])
    assert len(kept) == 29
    assert [one.id for one in left_out] == ["p7"]
    assert "near-duplicate of guard" in left_out[0].reason
