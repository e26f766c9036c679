"""How many published problems can be judged so that no program can lie about it: the share of strong integrity.

    python benchmarks/integrity_share.py --json [--data FOLDER] [--set humaneval ...] [--sandbox docker|wasm]

Each problem's published test is judged as the loop would judge it, on the reference solution that comes with the
problem; a reference that does not pass would say that the judging is wrong. `rewritten` are taken apart, so that only
calls go to the program; `judged` run in turns with the program, in another process; `weak` would run beside it, where
a program could forge the verdict. All that are weak or do not pass are listed with the reason. The last line is a JSON
object. LeetCodeDataset is taken with its own scripts here, though the labels use calls and values made from them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas.errors import ConfigError
from atlas.evals.datasets import LEETCODE, load
from atlas.evals.datasets.files import find
from sandbox.checks import plan
from sandbox.docker import DockerSandbox, DockerSettings
from sandbox.judgement import Step
from sandbox.names import NotPure
from sandbox.replay import NotProxied, Replay, prepare
from sandbox.rewrite import rewrite
from sandbox.script import outline, with_helpers
from sandbox.types import AssertCheck, Check, Limits, Program, Sandbox
from sandbox.wasm import WasmSandbox

SETS = ("humaneval", "mbpp-prompt", "mbpp-train", "mbpp-test", "leetcode")
LIMITS = Limits(wall_s=120, cpu_s=60, memory_mb=512)
AT_A_TIME = 2


@dataclass(frozen=True, kw_only=True)
class Item:
    """One problem: its reference solution, and what the data set judges with."""

    id: str
    reference: Program
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one problem is judged (rewritten, judged or weak), why not better, and whether its reference passes."""

    id: str
    how: str
    reason: str
    passed: bool
    said: str


def items(name: str, folders: Sequence[Path]) -> list[Item]:
    """A data set's problems, with the published tests as scripts. Raises ConfigError where its file cannot be had."""
    if name == "leetcode":
        return _leetcode(folders)
    return [
        Item(id=problem.id, reference=problem.reference, checks=problem.checks)
        for problem in load(name, folders=folders).problems
        if problem.reference is not None
    ]


def _leetcode(folders: Sequence[Path]) -> list[Item]:
    found = []
    for _number, row in find(LEETCODE, folders=folders).rows():
        script = f"{row['test']}\ncheck({row['entry_point']})\n"
        found.append(
            Item(
                id=f"leetcode/{row['task_id']}",
                reference=Program(source=f"{row['prompt']}\n{row['completion']}"),
                checks=(AssertCheck(code=with_helpers(script, row["prompt"])),),
            )
        )
    return found


def why_weak(check: Check) -> str:
    """Why a script is not judged by values alone; empty where it is, or for checks that are no scripts."""
    if not isinstance(check, AssertCheck):
        return ""
    if helpers := outline(check.code).helpers:
        return f"it takes {', '.join(sorted(helpers))} from the program"
    try:
        rewrite(check.code)
        return ""
    except NotPure as impure:
        reason = str(impure)
    try:
        prepare(check.code)
        return f"{reason}; what it does only shows when it runs"
    except NotProxied as unproxied:
        return f"{reason}; {unproxied}"


def planned(steps: Sequence[Step]) -> str:
    """How the steps of one problem are to be judged; the weakest decides."""
    if any(step.integrity == "weak" for step in steps):
        return "weak"
    return "judged" if any(isinstance(step.expects, Replay) for step in steps) else "rewritten"


async def examine(item: Item, sandbox: Sandbox) -> Finding:
    """Judge one problem's reference solution."""
    how = planned(await asyncio.to_thread(plan, item.reference, item.checks))
    verdict = await sandbox.run(item.reference, item.checks, LIMITS)
    how = "weak" if verdict.integrity == "weak" else how
    reason = "; ".join(filter(None, map(why_weak, item.checks))) if how == "weak" else ""
    return Finding(
        id=item.id, how=how, reason=reason, passed=verdict.passed, said=f"{verdict.outcome} {verdict.message}"[:300]
    )


async def examine_all(what: Sequence[Item], sandbox: Sandbox) -> list[Finding]:
    """Judge all problems, a few at a time."""
    places = asyncio.Semaphore(AT_A_TIME)

    async def one(item: Item) -> Finding:
        async with places:
            return await examine(item, sandbox)

    return await asyncio.gather(*map(one, what))


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Counts, and by name what is weak or fails."""
    counts = Counter(finding.how for finding in findings)
    return {
        "problems": len(findings),
        "rewritten": counts["rewritten"],
        "judged": counts["judged"],
        "weak": counts["weak"],
        "strong_share": round(1 - counts["weak"] / len(findings), 4),
        "references_passed": sum(finding.passed for finding in findings),
        "weak_problems": {finding.id: finding.reason for finding in findings if finding.how == "weak"},
        "not_passed": {finding.id: finding.said for finding in findings if not finding.passed},
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The shares of all sets that were asked for."""
    what = {name: items(name, options.data) for name in options.set or SETS}
    settings = DockerSettings(warm=AT_A_TIME, concurrency=AT_A_TIME, reuse=1_000, limits=LIMITS)
    async with await (DockerSandbox.start(settings) if options.sandbox == "docker" else WasmSandbox.start()) as sandbox:
        found: dict[str, Any] = {"isolation": sandbox.isolation, "sets": {}}
        for name, problems in what.items():
            found["sets"][name] = one = summary(await examine_all(problems, sandbox))
            print(f"{name:12} {json.dumps(one)}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--set", action="append", choices=SETS, help="default: all")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with the data sets' files")
    parser.add_argument("--sandbox", choices=("docker", "wasm"), default="docker")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    options = parser.parse_args()
    try:
        found = asyncio.run(measure(options))
    except ConfigError as error:
        raise SystemExit(f"{parser.prog}: {error}") from error
    if not options.json:
        for name, one in found["sets"].items():
            print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in one.items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
