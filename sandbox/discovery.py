"""What a test runner would call of a script that does not call its tests itself."""

from __future__ import annotations

import ast

from sandbox.errors import InvalidCheck
from sandbox.reading import syntax_tree
from sandbox.trees import root

_IN_A_MODULE = '__import__("unittest").main(argv=["check"])'
_ANYWHERE = """\
assert __import__("unittest").main(
    type("check", (), dict(globals())), argv=["check"], exit=False
).result.wasSuccessful(), "a test of unittest fails"
"""


def uncalled_tests(tree: ast.Module) -> list[ast.FunctionDef]:
    """Functions named test... that a test runner would call, where the script does not."""
    called = _called(tree)
    functions = [part for part in tree.body if isinstance(part, ast.FunctionDef)]
    return [part for part in functions if _is_test(part) and not part.args.args and part.name not in called]


def has_test_classes(tree: ast.Module) -> bool:
    """Whether there are classes of tests that pytest would run and the script does not."""
    return bool(_test_classes(tree))


def runner_calls(tree: ast.Module, in_a_module: bool) -> list[ast.stmt]:
    """Statements that do what a runner would do. `in_a_module`: the script runs as the module ``__main__``."""
    lines = [f"{function.name}()" for function in uncalled_tests(tree)]
    for kind in _test_classes(tree):
        methods = [part for part in kind.body if isinstance(part, ast.FunctionDef)]
        before = [part for part in methods if part.name == "setup_method"]
        for method in filter(_is_test, methods):
            lines.append(f"__test__ = {kind.name}()")
            lines += [f"__test__.setup_method({', '.join(['None'] * (len(part.args.args) - 1))})" for part in before]
            lines.append(f"__test__.{method.name}()")
    if _runs_unittest(tree):
        lines.append(_IN_A_MODULE if in_a_module else _ANYWHERE)
    return syntax_tree("\n".join(lines)).body


def refuse_what_only_pytest_gives(tree: ast.Module) -> None:
    """Raise InvalidCheck for tests that would silently never run: their arguments are pytest's to give."""
    called = _called(tree)
    functions = [(part, 0) for part in tree.body] + [(part, 1) for kind in _test_classes(tree) for part in kind.body]
    for part, count in functions:
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) or part.name in called or not _is_test(part):
            continue
        wanted = len(part.args.args) - len(part.args.defaults)
        if wanted > count or _is_marked(part) or isinstance(part, ast.AsyncFunctionDef):
            raise InvalidCheck(
                f"line {part.lineno}: {part.name} needs what only pytest gives (fixtures, marks, parametrize, an event "
                "loop); write the values into the test, and call asyncio.run there"
            )


def _called(tree: ast.Module) -> set[str]:
    return {root(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def _is_test(part: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return part.name.startswith("test")


def _is_marked(part: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(decorator).startswith("pytest.") for decorator in part.decorator_list)


def _test_classes(tree: ast.Module) -> list[ast.ClassDef]:
    called = _called(tree)
    plain = [part for part in tree.body if isinstance(part, ast.ClassDef) and part.name.startswith("Test")]
    plain = [part for part in plain if part.name not in called and not (part.bases and _unittest_classes(tree))]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [part for part in plain if any(isinstance(one, kinds) and _is_test(one) for one in part.body)]


def _unittest_classes(tree: ast.Module) -> list[ast.ClassDef]:
    classes = [part for part in tree.body if isinstance(part, ast.ClassDef)]
    return [part for part in classes if any("TestCase" in ast.unparse(base) for base in part.bases)]


def _runs_unittest(tree: ast.Module) -> bool:
    """Whether a runner would find unittest's test cases that the script does not run itself."""
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return bool(_unittest_classes(tree)) and "unittest.main" not in calls
