"""Problems, a model and a sandbox for tests of the harness: small, own, and without I/O."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atlas.errors import ModelUnavailable
from atlas.evals.problems import Problem
from atlas.evals.references import References
from atlas.evals.results import Results, summary
from atlas.evals.rows import CandidateRow, ProblemRow, Rows
from atlas.evals.run import RunConfig
from atlas.evals.score import Scores
from atlas.evals.stages import Parts
from atlas.prompts import PROMPT_VERSION
from atlas.protocols import Capabilities, Fingerprint, ModelTooLong, Sampling
from atlas.types import (
    CallCheck,
    Candidate,
    Check,
    Completion,
    Limits,
    Message,
    Program,
    Task,
    TokenLogprob,
    Usage,
    Verdict,
)
from sandbox.types import CheckResult, Outcome

WIDTH = 4
DATA = Path(__file__).parents[1] / "data" / "evals"
CAPABILITIES = Capabilities(model="fake", n=True, logprobs=True, embeddings=False, states=True, seeds=True)


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of tests/data/evals/`name`.jsonl: our own problems in a published format."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


HUMANEVAL_ROWS, MBPP_ROWS = rows("humaneval"), rows("mbpp")
MBPP_PLUS_ROWS, LEETCODE_ROWS = rows("mbpp_plus"), rows("leetcode")


def lines(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write `rows` as JSON lines, compressed where the name says so."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def problem(name: str, *, hidden: int = 1, group: str = "") -> Problem:
    """A problem that asks for `name(n)`, with one visible check."""
    return Problem(
        task=Task(
            id=name, prompt=f"Write the function {name} of topic {_words(name)}.", entry_point="f",
            checks=(CallCheck(call="f(0)", expected="0"),),
        ),
        hidden=tuple(CallCheck(call=f"f({i + 41})", expected=str(i + 41)) for i in range(hidden)),
        dataset="own", reference=Program(source=f"# right\n# {name}\n"), near_duplicate_group=group,
    )


def _words(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return " ".join("".join(chr(97 + int(c, 16)) for c in digest[i : i + 6]) for i in range(0, 60, 6))


def config(**changes: Any) -> RunConfig:
    return RunConfig(
        **{
            "datasets": {"own": "0" * 64}, "model": "fake", "prompt_version": PROMPT_VERSION, "k": 4,
            "temperature": 0.8, "max_tokens": 64, **changes,
        }
    )


@dataclass(kw_only=True)
class ScriptedLLM:
    """Answers each prompt with programs that say by themselves whether they are right; remembers what it was asked.

    `write(prompt, index)` gives the program of one completion; by default every other one is right.
    `down` names prompts' words that make it unavailable.
    """

    write: Callable[[str, int], str] | None = None
    down: tuple[str, ...] = ()
    asked: list[tuple[Message, ...]] = field(default_factory=list)
    capabilities: Capabilities = CAPABILITIES

    async def sample(self, messages: Sequence[Message], sampling: Sampling) -> tuple[Sequence[Completion], Usage]:
        self.asked.append(tuple(messages))
        prompt = messages[-1].content
        if any(word in prompt for word in self.down):
            raise ModelUnavailable("the model server is down")
        made = [self._completion(prompt, i, sampling) for i in range(sampling.n)]
        return made, Usage(prompt_tokens=10, completion_tokens=7 * sampling.n)

    def _completion(self, prompt: str, index: int, sampling: Sampling) -> Completion:
        verdict = "right" if index % 2 else "wrong"
        source = self.write(prompt, index) if self.write else f"# {verdict}\ndef f(n):\n    return n  # {index}\n"
        text = f"```python\n{source}```\n"
        rng = np.random.default_rng(sampling.seed + index)
        tokens = [text[i : i + 8].encode() for i in range(0, len(text), 8)]
        return Completion(
            text=text, finish_reason="stop", seed=sampling.seed + index, temperature=sampling.temperature,
            logprobs=tuple(TokenLogprob(token=t, logprob=-float(rng.random()), second=-3.0) for t in tokens),
            states=rng.normal(size=(len(tokens), WIDTH)).astype(np.float16),
        )

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32] | ModelTooLong, ...]:
        raise NotImplementedError

    async def read(self, messages: Sequence[Message], text: str) -> Completion | ModelTooLong:
        raise NotImplementedError

    async def aclose(self) -> None:
        return None


@dataclass(kw_only=True)
class MarkedSandbox:
    """Judges a program by its own first line: `# right`, `# wrong`, `# slow`, or `# broken`, which is our own failure.

    `mend_after` broken verdicts, a broken program is judged like a right one.
    """

    isolation: str = "docker"
    mend_after: int | None = None
    runs: list[str] = field(default_factory=list)
    broken: int = 0

    async def run(self, program: Program, checks: Sequence[Check], limits: Limits) -> Verdict:
        self.runs.append(program.source)
        mark = program.source.splitlines()[0].removeprefix("# ")
        if mark == "broken" and (self.mend_after is None or self.broken < self.mend_after):
            self.broken += 1
            return Verdict(outcome=Outcome.SANDBOX_ERROR, isolation=self.isolation, message="no container")
        outcome = {"wrong": Outcome.FAIL, "slow": Outcome.TIMEOUT}.get(mark, Outcome.PASS)
        passing = len(checks) - (outcome is not Outcome.PASS)
        results = [CheckResult(index=i, outcome=Outcome.PASS) for i in range(passing)]
        if outcome is not Outcome.PASS:
            results.append(CheckResult(index=passing, outcome=outcome, message="expected otherwise"))
        return Verdict(outcome=outcome, isolation=self.isolation, checks=tuple(results), wall_s=0.01)

    async def aclose(self) -> None:
        return None


@dataclass(kw_only=True)
class HashFingerprinter:
    """Fingerprints out of the program's hash; `unreadable` programs get none."""

    id: str = "fp-test"
    scalar_names: tuple[str, ...] = ("length",)
    made: int = 0

    async def fingerprints(self, task: Task, candidates: Sequence[Candidate]) -> Sequence[Fingerprint]:
        self.made += len(candidates)
        return [self._one(candidate) for candidate in candidates]

    def _one(self, candidate: Candidate) -> Fingerprint:
        scalars = np.array([len(candidate.program.source)], dtype=np.float32)
        if "unreadable" in candidate.program.source:
            return Fingerprint(embedding=np.zeros(0, np.float32), scalars=scalars, problem="too long to embed")
        rng = np.random.default_rng(int(candidate.digest[:8], 16))
        return Fingerprint(embedding=rng.normal(size=WIDTH).astype(np.float32), scalars=scalars)


def parts(folder: Path, *, llm: ScriptedLLM | None = None, sandbox: MarkedSandbox | None = None) -> Parts:
    """Fakes that do the work of a run."""
    sandbox = sandbox or MarkedSandbox()
    references = References(sandbox=sandbox, folder=folder / "references", pause_s=0.0)
    return Parts(
        llm=llm or ScriptedLLM(), fingerprinter=HashFingerprinter(), sandbox=sandbox, references=references, pause_s=0.0
    )


def rows_of(pool: Mapping[str, Sequence[tuple[float, float, bool]]], *, samples: int = 4) -> Rows:
    """Rows with one ranker, `own`, from (cost, probability, passed) of each problem's candidates."""
    problems = tuple(
        ProblemRow(
            problem=name, dataset="own", group=name, checks="0" * 64, language="python", prompt=f"Write {name}.",
            cpu_limit_s=5.0, samples=samples, right=sum(passed for _, _, passed in own), prompt_tokens=10,
            completion_tokens=20,
        )
        for name, own in pool.items()
    )
    candidates = tuple(
        CandidateRow(
            problem=name, digest=f"{name}{i}", position=i, copies=1, source=f"def {name}():\n    return {i}\n",
            outcome="PASS" if passed else "FAIL", passed=passed, integrity="strong", isolation="docker",
            failed=None if passed else 0, message="", wall_s=0.1, cpu_s=0.1, slowest_cpu_s=0.1,
        )
        for name, own in pool.items()
        for i, (_, _, passed) in enumerate(own)
    )
    said = np.array([row[:2] for own in pool.values() for row in own], dtype=np.float64).reshape(-1, 2)
    scores = Scores(name="own", cost=said[:, 0], p_pass=said[:, 1])
    return Rows(problems=problems, candidates=candidates, scores={"own": scores})


def finished_run(folder: Path, pool: Mapping[str, Sequence[tuple[float, float, bool]]] | Rows, **told: Any) -> Results:
    """Write the files that a finished run leaves for its report; `told` goes into its provenance."""
    rows = pool if isinstance(pool, Rows) else rows_of(pool)
    found = summary(rows, config(), told, excluded={}, infrastructure={})
    folder.mkdir(parents=True, exist_ok=True)
    rows.write(folder)
    (folder / "results.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return found
