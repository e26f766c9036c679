"""Do canonical solutions pass, and do programs that are known to be wrong fail? Whole data sets, through our grading.

    python benchmarks/eval_canonical.py --json [--data FOLDER] [--keep FOLDER] [humaneval mbpp-test ...]

For each problem three programs are graded: the canonical solution, an empty one, and one whose function returns None.
The last line is a JSON object: for each data set, the problems whose canonical solution does not pass, with the reason,
and those that a wrong program passes. Naming `--keep` again goes on with what is not graded yet.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import anyio

from atlas.evals import datasets
from atlas.evals.alone import AsksAgain
from atlas.evals.book import Book
from atlas.evals.graded import Grading
from atlas.evals.problems import Problem
from atlas.evals.references import References
from atlas.evals.samples import Sample, Samples
from atlas.settings import load
from atlas.types import Program
from atlas.wiring import open_sandbox
from sandbox.types import Sandbox

NAMES = ("humaneval", "mbpp-prompt", "mbpp-test", "mbpp-train")
KINDS = ("canonical", "empty", "returns None")


def programs(problem: Problem) -> list[Program]:
    """One of each of `KINDS`."""
    assert problem.reference is not None
    nothing = f"def {problem.task.entry_point}(*arguments, **named):\n    return None\n"
    return [problem.reference, Program(source=""), Program(source=nothing)]


async def graded(name: str, options: argparse.Namespace, sandbox: Sandbox) -> dict[str, Any]:
    """What became of one data set's programs."""
    config = load()
    loaded = datasets.load(name, folders=options.data, cache=config.cache)
    samples = tuple(
        Sample(line=3 * at + kind + 1, problem=problem, program=program)
        for at, problem in enumerate(loaded.problems) for kind, program in enumerate(programs(problem))
    )
    references = References(sandbox=sandbox, folder=config.cache / "problems" / "references")
    book = Book.open(options.keep / f"{name}.jsonl" if options.keep else None)
    grading = Grading(references=references, workers=config.sandbox.concurrency, book=book)
    with grading.progress.shown(sys.stderr):
        found = await grading.run(Samples(samples=samples, unknown={}, sha256=""), loaded.problems)
    passed: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for sample in samples:
        one = book.lines.get(sample.line)
        if one is not None and one.passed:
            passed[KINDS[(sample.line - 1) % 3]].append(sample.problem.id)
    fails = {p.id: book.lines[3 * at + 1].message for at, p in enumerate(loaded.problems) if 3 * at + 1 in book.lines}
    return {
        "problems": len(loaded.problems), "canonical_passed": len(passed["canonical"]),
        "canonical_fails": found.excluded | {id_: why for id_, why in fails.items() if id_ not in passed["canonical"]},
        "unusable": {one.id: one.reason for one in loaded.excluded}, "empty_passes": passed["empty"],
        "none_passes": passed["returns None"], "in_part": found.notes, "near_limit": found.near_limit,
        "weak": found.weak, "infrastructure": found.infrastructure, "isolation": list(found.isolation),
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every data set, one after the other."""
    config = load()
    config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"reuse": 100})})
    async with open_sandbox(config) as sandbox:
        return {name: await graded(name, options, AsksAgain(sandbox=sandbox)) for name in options.names}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=NAMES, help=f"data sets (default: {' '.join(NAMES)})")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with the data sets' files")
    parser.add_argument("--keep", type=Path, help="folder for the verdicts; naming it again goes on")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    options = parser.parse_args()
    found = anyio.run(measure, options)
    if not options.json:
        for name, one in found.items():
            print(f"{name}: {one['canonical_passed']} of {one['problems']} canonical solutions pass")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
