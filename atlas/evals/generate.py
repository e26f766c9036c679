"""Stage 1: what the model says to each problem, recorded once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import anyio.to_thread

from atlas.errors import ConfigError
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from atlas.extract import candidates
from atlas.prompts import PROMPT_VERSION, STOP, messages
from atlas.protocols import LLM, Sampling
from atlas.recording import read_completions, write_completions
from atlas.types import Candidate, Message, Usage


def seed_of(problem_id: str, seed: int = 0) -> int:
    """The seed of a problem's first completion; the next ones count up. Independent of order and of other problems."""
    text = problem_id if seed == 0 else f"{seed}\0{problem_id}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % (2**31 - 1000)


def prompt_sha256(asked: Sequence[Message]) -> str:
    """SHA-256 of the conversation that was sent."""
    return hashlib.sha256(json.dumps([message.model_dump() for message in asked]).encode()).hexdigest()


async def generate(run: Run, problem: Problem, llm: LLM) -> Usage:
    """Ask for the problem's completions and record them; nothing where they are recorded already.

    Raises ModelError, and ConfigError where the recorded ones answer another prompt.
    """
    path = run.path("completions", problem)
    if path.exists():
        await anyio.to_thread.run_sync(recorded, run, problem)
        return Usage()
    config, asked = run.config, messages(problem.task)
    sampling = Sampling(
        n=config.k, temperature=config.temperature, seed=seed_of(problem.id, config.seed),
        max_tokens=config.max_tokens, top_p=config.top_p, stop=STOP,
        greedy_first=config.greedy_first,
    )
    completions, usage = await llm.sample(asked, sampling)
    about = {
        "problem": problem.id, "prompt_version": PROMPT_VERSION, "prompt_sha256": prompt_sha256(asked),
        "model": config.model, "temperature": str(config.temperature), "top_p": str(config.top_p),
        "max_tokens": str(config.max_tokens), "greedy_first": str(config.greedy_first),
        "usage": json.dumps({"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}),
    }
    await anyio.to_thread.run_sync(lambda: write_completions(path, completions, about=about))
    return usage


def recorded(run: Run, problem: Problem) -> tuple[list[Candidate], Usage]:
    """The candidates of the problem's recorded completions, and the tokens that those cost.

    Raises ConfigError where the completions answer another prompt than this Atlas would send, or came from another
    model or sampling than the run's.
    """
    path = run.path("completions", problem)
    completions, about = read_completions(path)
    expected = {
        "prompt_sha256": prompt_sha256(messages(problem.task)), "temperature": str(run.config.temperature),
        "top_p": str(run.config.top_p), "max_tokens": str(run.config.max_tokens), "model": run.config.model,
        "greedy_first": str(run.config.greedy_first),
    }
    model = about.get("model") or about.get("model_sha256") or run.config.model
    noted = {"greedy_first": str(False), **about, "model": model}
    other = [name for name, value in expected.items() if noted.get(name, value) != value]
    if other:
        raise ConfigError(
            f"{path} was recorded with another {' and '.join(other)}; name another folder for this run, or delete the "
            "file to have the problem generated again"
        )
    usage = json.loads(about.get("usage", "{}"))
    paid = Usage(
        prompt_tokens=usage.get("prompt_tokens", 0), completion_tokens=usage.get("completion_tokens", 0)
    )
    return candidates(problem.task, completions), paid
