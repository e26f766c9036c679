"""MBPP's published format, and EvalPlus's MBPP+ v0.1 format.

MBPP (Austin et al. 2021, arXiv 2108.07732): `task_id`, `text`, `code`, `test_list`, `test_setup_code`. The first
assert is shown to the model, because without it nobody could know the function's name; the others are hidden.

MBPP+ (Liu et al. 2023, arXiv 2305.01210): `plus_input` holds argument lists without expected values. JSON has neither
tuples nor sets nor integer keys, so each argument takes the type that it has in the record's own asserts, and the
record's `contract` says, when the reference runs, whether that was right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from atlas.evals.datasets.files import Content
from atlas.evals.datasets.inputs import Shape, ShapeError, literal_call
from atlas.evals.problems import Excluded, OpenCall, Plus, Problem
from atlas.types import AssertCheck, Program, Task
from sandbox.reading import syntax_tree

Parsed = tuple[list[Problem], list[Excluded]]
ABS_TOL = 1e-6  # EvalPlus compares floats of plus inputs within this


def split(first: int, last: int) -> Callable[..., Parsed]:
    """A parser for the problems first..last of mbpp.jsonl; it takes the plus file's content too, where it is given."""

    def parse(content: Content, plus: Content | None = None) -> Parsed:
        more = {} if plus is None else {int(row["task_id"].split("/")[1]): row for row in _plus_rows(plus)}
        problems, excluded = [], []
        for number, row in content.rows():
            task_id = content.field(number, row, "task_id", int)
            if not first <= task_id <= last:
                continue
            made = _problem(content, number, row)
            if isinstance(made, Excluded):
                excluded.append(made)
            else:
                problems.append(made if task_id not in more else _with_plus(made, more[task_id]))
        return problems, excluded

    return parse


def parse_sanitized(content: Content) -> Parsed:
    """The hand-verified part of MBPP, published as one JSON array: `prompt`, `code`, `test_imports`, `test_list`."""
    made = []
    for number, row in content.rows():
        imports = content.field(number, row, "test_imports", list)
        text = content.field(number, row, "prompt", str)
        content.field(number, row, "task_id", int)
        made.append(_problem(content, number, {**row, "text": text, "test_setup_code": "\n".join(imports)}))
    return [one for one in made if isinstance(one, Problem)], [one for one in made if isinstance(one, Excluded)]


def parse_plus(content: Content) -> Parsed:
    """MBPP+ by itself: its prompt, its first assert visible, its other asserts and its plus inputs hidden."""
    problems, excluded = [], []
    for row in _plus_rows(content):
        name, asserts = f"mbpp+/{row['task_id'].split('/')[-1]}", _asserts(row["assertion"])
        if not asserts:
            excluded.append(Excluded(id=name, reason="no assert shows how the function is called"))
            continue
        problems.append(
            _with_plus(
                Problem(
                    task=Task(
                        id=name,
                        prompt=row["prompt"].strip().strip("'\"").strip(),
                        entry_point=row["entry_point"],
                        checks=(AssertCheck(code=asserts[0]),),
                    ),
                    hidden=tuple(AssertCheck(code=code) for code in asserts[1:]),
                    dataset="mbpp+",
                    reference=Program(source=row["canonical_solution"]),
                    frame=(row["prompt"], ""),
                ),
                row,
            )
        )
    return problems, excluded


def _problem(content: Content, number: int, row: dict[str, Any]) -> Problem | Excluded:
    name = f"mbpp/{row['task_id']}"
    text, code = (content.field(number, row, field, str) for field in ("text", "code"))
    tests = content.field(number, row, "test_list", list)
    setup = row.get("test_setup_code") or ""
    asserts = [f"{setup.strip()}\n{test.strip()}" if setup else test.strip() for test in tests]
    entry_point = _entry_point(code, tests)
    if not asserts or entry_point is None:
        return Excluded(id=name, reason="its asserts call no function that its reference defines")
    return Problem(
        task=Task(id=name, prompt=text.strip(), entry_point=entry_point, checks=(AssertCheck(code=asserts[0]),)),
        hidden=tuple(AssertCheck(code=code) for code in asserts[1:]),
        dataset="mbpp",
        reference=Program(source=code.replace("\r\n", "\n")),
    )


def _entry_point(code: str, tests: Sequence[str]) -> str | None:
    """The function that the asserts call: the first name in them that the reference defines at its top level."""
    defined = {node.name for node in syntax_tree(code).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    called = (name for test in tests for name in re.findall(r"\b([A-Za-z_]\w*)\s*\(", test))
    return next((name for name in called if name in defined), None)


def _plus_rows(content: Content) -> list[dict[str, Any]]:
    rows = []
    for number, row in content.rows():
        for field in ("task_id", "prompt", "entry_point", "canonical_solution", "assertion", "contract"):
            content.field(number, row, field, str)
        content.field(number, row, "base_input", list)
        if not isinstance(row.get("plus_input"), list | dict):
            content.field(number, row, "plus_input", list)
        rows.append(row)
    return rows


def _asserts(assertion: str) -> list[str]:
    """The record's asserts one by one, each with the imports that stand before them."""
    body = syntax_tree(assertion).body
    imports = "".join(ast.unparse(node) + "\n" for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    return [imports + ast.unparse(node) for node in body if isinstance(node, ast.Assert)]


def _with_plus(problem: Problem, row: dict[str, Any]) -> Problem:
    """Add the record's plus inputs as open calls. A problem that they don't fit comes back with a note of it.

    They fit where the record's function is the problem's own, takes as many arguments, and its asserts show the types
    of all arguments. Whether both references agree is found out when they are run.
    """
    calls = _calls(row["assertion"], row["entry_point"])
    visible = problem.task.checks[0]
    assert isinstance(visible, AssertCheck)
    own = _calls(visible.code, row["entry_point"])
    unfit = replace(problem, note="its plus inputs do not fit its asserts")
    if not calls or not own or len(own[0]) != len(calls[0]) or problem.task.entry_point != row["entry_point"]:
        return unfit
    try:
        shapes = [Shape.of([args[i] for args in calls]) for i in range(len(calls[0]))]
        inputs = [literal_call(row["entry_point"], args, shapes) for args in row["plus_input"] or []]
    except (ShapeError, IndexError):
        return unfit
    compare = _comparison(row)
    open_calls = tuple(OpenCall(call=call, compare=compare, rel_tol=ABS_TOL, abs_tol=ABS_TOL) for call in inputs)
    plus = Plus(
        calls=open_calls, reference=Program(source=row["canonical_solution"]),
        entry_point=row["entry_point"], contract=row["contract"],
    )
    return replace(problem, plus=plus if inputs else None)


def _calls(code: str, entry_point: str) -> list[list[Any]]:
    """The literal arguments of every call of `entry_point` in `code`; empty where one is not a literal."""
    calls = []
    for node in ast.walk(syntax_tree(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
            try:
                calls.append([ast.literal_eval(arg) for arg in node.args])
            except ValueError:
                return []
    return calls if len({len(args) for args in calls}) == 1 else []


def _comparison(row: dict[str, Any]) -> Any:
    """How the record's own asserts compare: as sets, by truth, within a tolerance, or exactly.

    The order of a list or tuple that the reference makes out of a set is nobody's requirement either.
    """
    for node in syntax_tree(row["assertion"]).body:
        if not isinstance(node, ast.Assert):
            continue
        test = node.test
        if isinstance(test, ast.UnaryOp) or (isinstance(test, ast.Call) and _called(test) == row["entry_point"]):
            return "truth"
        if isinstance(test, ast.Compare) and _called(test.left) == "set":
            return "unordered"
        if isinstance(test, ast.Call) and _called(test) == "isclose":
            return "close"
    return "unordered" if _orders_a_set(row["canonical_solution"]) else "equal"


def _called(node: ast.expr) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _orders_a_set(code: str) -> bool:
    """True where a list or tuple is made straight out of a set."""
    return any(
        _called(node) in ("list", "tuple") and any(_is_set(arg) for arg in node.args)
        for node in ast.walk(syntax_tree(code)) if isinstance(node, ast.Call)
    )


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_set(node.left) or _is_set(node.right)
    return isinstance(node, ast.Set | ast.SetComp) or _called(node) in (
        "set", "frozenset", "intersection", "union", "difference", "symmetric_difference"
    )
