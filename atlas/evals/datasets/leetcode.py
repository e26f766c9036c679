"""LeetCodeDataset's published format (Xia et al. 2025, arXiv 2504.14655).

Fields: `query` (what is asked), `prompt` (imports), `completion` (the solution), `entry_point`, `test`.

A problem there is a method of `class Solution`. Here it is a plain function of the same name and signature, as in the
other data sets: annotations are written with built-in types, so that the signature stands by itself, and the model's
program must import what it uses, because that is how it will be run. Problems about LeetCode's own node classes are
left out: their arguments cannot be written as literals.
"""

from __future__ import annotations

import ast
import copy
import re
from typing import Any, Literal

from atlas.evals.datasets.files import Content
from atlas.evals.problems import Excluded, Problem
from atlas.types import CallCheck, Program, Task
from sandbox.reading import syntax_tree

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
REQUEST = "Please complete the following python code precisely:"
BUILTIN = {"List": "list", "Dict": "dict", "Tuple": "tuple", "Set": "set", "FrozenSet": "frozenset"}
ANY_ORDER = re.compile(r"in any order|any order\b", re.IGNORECASE)


def parse(content: Content) -> tuple[list[Problem], list[Excluded]]:
    """Every problem whose tests are calls with literal arguments and results; the others by name with the reason."""
    made = [_problem(content, number, row) for number, row in content.rows()]
    return [one for one in made if isinstance(one, Problem)], [one for one in made if isinstance(one, Excluded)]


def _problem(content: Content, number: int, row: dict[str, Any]) -> Problem | Excluded:
    fields = ("task_id", "prompt", "completion", "entry_point", "test", "query")
    text = {field: content.field(number, row, field, str) for field in fields}
    name = f"leetcode/{text['task_id']}"
    description, _, _ = text["query"].partition(REQUEST)
    starter = CODE.search(text["query"])
    method = text["entry_point"].removeprefix("Solution().")
    signature = _signature(starter[1], method) if starter else None
    if signature is None or not method.isidentifier():
        return Excluded(id=name, reason="its starter code is not one method of class Solution with built-in types")
    checks = _checks(text["test"], method, any_order=ANY_ORDER.search(description) is not None)
    if not checks:
        return Excluded(id=name, reason="its tests are not calls with literal arguments and results")
    shown = 1 if len(checks) > 1 else 0  # the only test is never shown: a program could just repeat it
    prompt = f"{description.strip()}\n\nComplete this Python function.\n\n```python\n{signature}\n```"
    adapter = f"\n\ndef {method}(*args, **kwargs):\n    return Solution().{method}(*args, **kwargs)\n"
    return Problem(
        task=Task(id=name, prompt=prompt, entry_point=method, checks=checks[:shown]),
        hidden=checks[shown:],
        dataset="leetcode",
        reference=Program(source=f"{text['prompt']}\n{text['completion']}{adapter}"),
    )


def _signature(starter: str, method: str) -> str | None:
    """`def method(...) -> ...:` without `self` and with built-in types; None where that is not possible."""
    try:
        tree = syntax_tree(starter.rstrip() + " pass")
    except SyntaxError:
        return None
    found = [n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body if isinstance(n, ast.FunctionDef)]
    if len(found) != 1 or found[0].name != method or not found[0].args.args:
        return None
    function = copy.deepcopy(found[0])
    function.args.args = function.args.args[1:]
    function = _Builtin().visit(function)
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
    if names - {"int", "str", "float", "bool", "list", "dict", "tuple", "set", "frozenset", "None", "object"}:
        return None
    if any(isinstance(n, ast.Constant) and isinstance(n.value, str) for n in ast.walk(function)):
        return None  # a class in quotes
    return ast.unparse(function).splitlines()[0]


class _Builtin(ast.NodeTransformer):
    """`List[int]` becomes `list[int]`, `Optional[int]` becomes `int | None`."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(id=BUILTIN.get(node.id, node.id), ctx=node.ctx)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "Optional":
            return ast.BinOp(left=node.slice, op=ast.BitOr(), right=ast.Constant(value=None))
        return node


def _checks(test: str, method: str, *, any_order: bool) -> tuple[CallCheck, ...]:
    """`check`'s asserts as call checks; empty where one of them is anything but `candidate(literals) == literal`.

    Lists are compared without their order where the description accepts any.
    """
    checks = []
    for node in syntax_tree(test).body[0].body:  # type: ignore[attr-defined]
        comparison = getattr(node, "test", None)
        if not isinstance(comparison, ast.Compare) or not isinstance(comparison.ops[0], ast.Eq):
            return ()
        call, expected = comparison.left, comparison.comparators[0]
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "candidate":
            return ()
        try:
            values = [ast.literal_eval(node) for node in (expected, *call.args, *(k.value for k in call.keywords))]
        except ValueError:
            return ()
        call.func.id = method
        compare: Literal["unordered", "equal"] = "unordered" if any_order and isinstance(values[0], list) else "equal"
        checks.append(CallCheck(call=ast.unparse(call), expected=ast.unparse(expected), compare=compare))
    return tuple(checks)
