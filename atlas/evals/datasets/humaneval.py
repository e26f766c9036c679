"""HumanEval's published format (Chen et al. 2021, arXiv 2107.03374).

Fields: `task_id`, `prompt`, `entry_point`, `canonical_solution`, `test`. `prompt` is the start of a
file (imports, helpers, a signature with its docstring), `test` defines `check(candidate)`.
"""

from __future__ import annotations

from atlas.evals.datasets.files import Content
from atlas.evals.problems import Excluded, Problem
from atlas.types import AssertCheck, Program, Task
from sandbox.script import with_helpers


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
                reference=Program(source=fields["prompt"] + fields["canonical_solution"]),
            )
        )
    return problems, []
