"""HumanEval's published format (Chen et al. 2021, arXiv 2107.03374), and EvalPlus's HumanEval+ format.

Fields: `task_id`, `prompt`, `entry_point`, `canonical_solution`, `test`. `prompt` is the start of a
file (imports, helpers, a signature with its docstring), `test` defines `check(candidate)`.

HumanEval+ (Liu et al. 2023, arXiv 2305.01210) brings `plus_input`, lists of arguments without expected values, with its
own `prompt`, `canonical_solution`, `contract` and `atol`. The arguments of HumanEval are what JSON says they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from atlas.evals.datasets.files import Content
from atlas.evals.datasets.inputs import Shape, literal_call
from atlas.evals.problems import Excluded, OpenCall, Plus, Problem
from atlas.types import AssertCheck, Program, Task
from sandbox.script import with_helpers

REL_TOL, ABS_TOL = 1e-7, 1e-6
"""How EvalPlus compares floats where a record asks for nothing else."""
ROOTS = ("find_zero",)
"""Functions with more right answers than one: EvalPlus evaluates the polynomial at what they return."""


def parse_plus(content: Content, plus: Content) -> tuple[list[Problem], list[Excluded]]:
    """HumanEval with the plus inputs. A problem that the plus file lacks is excluded by name."""
    problems, _ = parse(content)
    more = {plus.field(number, row, "task_id", str): _plus(plus, number, row) for number, row in plus.rows()}
    missing = [Excluded(id=p.id, reason="the plus file does not have it") for p in problems if p.id not in more]
    return [replace(problem, plus=more[problem.id]) for problem in problems if problem.id in more], missing


def _plus(content: Content, number: int, row: dict[str, Any]) -> Plus:
    prompt, solution, entry_point, contract = (
        content.field(number, row, name, str) for name in ("prompt", "canonical_solution", "entry_point", "contract")
    )
    tolerance = max(float(row.get("atol") or 0), ABS_TOL)
    inputs = [*content.field(number, row, "base_input", list), *content.field(number, row, "plus_input", list)]
    calls = tuple(
        OpenCall(
            call=literal_call(entry_point, args, [Shape()] * len(args)), rel_tol=REL_TOL, abs_tol=tolerance,
            compare="root" if entry_point in ROOTS else "equal",
        )
        for args in inputs
    )
    return Plus(
        calls=calls, reference=Program(source=prompt + solution), entry_point=entry_point, contract=contract
    )


def parse(content: Content) -> tuple[list[Problem], list[Excluded]]:
    """Every problem of the file; the model sees the function to complete, and `check` is hidden."""
    problems = []
    for number, row in content.rows():
        fields = {
            name: content.field(number, row, name, str)
            for name in ("task_id", "prompt", "entry_point", "canonical_solution", "test")
        }
        start = fields["prompt"].strip("\n")
        # Three problems' tests use a function that the prompt defines; a candidate must not be the one to define it.
        test = with_helpers(f"{fields['test'].strip()}\n\ncheck({fields['entry_point']})\n", fields["prompt"])
        problems.append(
            Problem(
                task=Task(
                    id=fields["task_id"],
                    prompt=f"Complete this Python function.\n\n```python\n{start}\n```",
                    entry_point=fields["entry_point"],
                ),
                hidden=(AssertCheck(code=test),),
                dataset="humaneval",
                frame=(fields["prompt"], ""),
                reference=Program(source=fields["prompt"] + fields["canonical_solution"]),
            )
        )
    return problems, []
