"""Own tasks through the real small model, real fingerprints and real containers, to labels and to results."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from atlas import models
from atlas.errors import ConfigError
from atlas.evals.commands import Plan, read_results, run_eval, run_label
from atlas.fingerprint import ModelFingerprinter
from atlas.llm.client import OpenAIClient
from atlas.llm.engine import EmbeddedEngine
from costfield.shards import load_examples
from sandbox.docker import DockerSandbox, DockerSettings
from tests.support.evals import lines

pytestmark = [pytest.mark.anyio, pytest.mark.docker, pytest.mark.llm, pytest.mark.slow, pytest.mark.timeout(600)]

TASKS = [
    {
        "id": "own/double", "prompt": "Write a function double(n) that returns twice n.", "entry_point": "double",
        "checks": [{"kind": "assert", "code": "assert double(2) == 4"}],
        "hidden": [{"kind": "call", "call": "double(-7)", "expected": "-14"}],
        "reference": "def double(n):\n    return 2 * n\n",
    },
    {
        "id": "own/knights", "prompt": "Write a function tours(n) that returns the number of closed knight's tours.",
        "entry_point": "tours", "hidden": [{"kind": "call", "call": "tours(6)", "expected": "9862"}],
    },
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def llm() -> AsyncIterator[OpenAIClient]:
    try:
        model = models.verified("qwen2.5-coder-0.5b")
    except ConfigError as missing:
        pytest.skip(str(missing))
    async with EmbeddedEngine.start(model.path, sha256=model.sha256, n_ctx=4096, slots=2) as engine:
        async with await OpenAIClient.open(engine.base_url, engine.api_key, states=True) as client:
            yield client


@pytest.fixture(scope="module")
async def sandbox() -> AsyncIterator[DockerSandbox]:
    made = await DockerSandbox.start(DockerSettings(warm=1, concurrency=1))
    yield made
    await made.aclose()


async def test_tasks_become_labels_and_results(llm: OpenAIClient, sandbox: DockerSandbox, tmp_path: Path) -> None:
    path = lines(TASKS, tmp_path / "own.jsonl")
    plan = Plan(
        datasets=(str(path),), folder=tmp_path / "run", cache=tmp_path / "cache", k=2, max_tokens=96, temperature=0.7
    )
    maker = ModelFingerprinter.best(llm)
    outcome = await run_label(plan, llm, maker, sandbox, tmp_path / "shards", progress_to=io.StringIO())
    assert [p.id for p in outcome.done] == ["own/double", "own/knights"]
    assert not outcome.troubles

    examples = load_examples(tmp_path / "shards", fingerprint_id=maker.id)
    assert examples.dims == 896
    right = dict(zip(examples.problem.tolist(), examples.passed.tolist(), strict=True))
    assert right == {"own/double": True, "own/knights": False}, "the easy one is right, the hard one is not"
    assert (examples.column("logprob_mean") < 0).all()

    found = await run_eval(plan, llm, maker, sandbox, None, progress_to=io.StringIO())
    assert found == read_results(tmp_path / "run")
    assert (found.tasks, found.isolation) == (2, ("docker",))
    assert found.pass_at_1["oracle"] == 0.5
    assert set(found.selection) >= {"first", "shortest", "log-probability", "agreement", "random", "oracle"}
