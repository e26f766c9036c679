"""Labels: shards that training reads, whole problems only, each once. Kills: tests/integration/test_evals_resume.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from atlas.errors import ConfigError
from atlas.evals import label as label_module
from atlas.evals.label import apart, label
from atlas.evals.parts import read_rows
from atlas.evals.problems import Problem
from atlas.evals.run import Run
from costfield.errors import FingerprintMismatch
from costfield.shards import load_examples, read_manifest
from tests.support.evals import MarkedSandbox, ScriptedLLM, config, parts, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def go(tmp_path: Path, problems: list[Problem], **made: object) -> None:
    with Run.open(tmp_path / "run", config()) as run:
        await label(run, problems, parts(tmp_path, **made), tmp_path / "shards")  # type: ignore[arg-type]


async def test_shards_hold_every_candidate_with_its_label(tmp_path: Path) -> None:
    await go(tmp_path, [problem(name) for name in "ab"])
    examples = load_examples(tmp_path / "shards", fingerprint_id="fp-test")
    assert len(examples) == 8
    assert examples.passed.tolist() == [False, True] * 4
    assert examples.fault.tolist() == ["FAIL", "PASS"] * 4  # type: ignore[union-attr]
    assert examples.index.tolist() == [0, 1, 2, 3] * 2  # type: ignore[union-attr]
    assert sorted(set(examples.problem.tolist())) == ["a", "b"]
    assert examples.dims == 4


async def test_programs_stand_beside_the_shard_in_the_same_order(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a")])
    rows, _ = read_rows(tmp_path / "shards" / "programs-00000.parquet")
    examples = load_examples(tmp_path / "shards")
    assert [row["outcome"] == "PASS" for row in rows] == examples.passed.tolist()
    assert rows[1]["source"].startswith("# right\n")
    assert rows[0]["message"] == "expected otherwise"


async def test_without_the_programs_of_a_shard_nothing_is_labelled_twice(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a")])
    (tmp_path / "shards" / "programs-00000.parquet").unlink()
    with pytest.raises(ConfigError, match=r"programs-00000\.parquet is missing"):
        await go(tmp_path, [problem("a"), problem("b")])
    assert Counter(load_examples(tmp_path / "shards").problem.tolist()) == {"a": 4}


async def test_families_travel_with_the_labels(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a", group="family"), problem("b"), problem("c", group="family")])
    examples = load_examples(tmp_path / "shards")
    assert dict(zip(examples.problem.tolist(), examples.group.tolist(), strict=True)) == {"a": "a", "b": "b", "c": "a"}


async def test_problems_labelled_later_join_the_families_that_are_there(tmp_path: Path) -> None:
    await go(tmp_path, [problem("b", group="family"), problem("c", group="other")])
    later = [problem(name, group="family") for name in "ab"] + [problem("c", group="other")]
    await go(tmp_path, later)
    examples = load_examples(tmp_path / "shards")
    assert dict(zip(examples.problem.tolist(), examples.group.tolist(), strict=True)) == {"a": "b", "b": "b", "c": "c"}


async def test_families_are_those_of_all_problems_however_few_are_labelled(tmp_path: Path) -> None:
    everyone = [problem(name, group="family") for name in "abc"]
    with Run.open(tmp_path / "run", config()) as run:
        await label(run, everyone[2:], parts(tmp_path), tmp_path / "shards", among=everyone)
    examples = load_examples(tmp_path / "shards")
    assert set(examples.problem.tolist()) == {"c"} and set(examples.group.tolist()) == {"a"}


def test_a_problem_between_two_families_comes_too_late() -> None:
    kept, left_out = apart([problem(name, group="one") for name in "abc"], [], {"a": "a", "b": "b"})
    assert [(one.id, one.group) for one in kept] == [("a", "a"), ("b", "b")]
    assert [(one.id, one.reason) for one in left_out] == [
        ("c", "a near-duplicate in the families of a and b, which are labelled as two")
    ]


async def test_what_is_there_must_be_named_again_for_its_near_duplicates(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a")])
    with pytest.raises(ConfigError, match="holds 1 problems, a among them, that are in none of the files named now"):
        await go(tmp_path, [problem("b")])
    assert set(load_examples(tmp_path / "shards").problem.tolist()) == {"a"}


async def test_a_second_run_adds_what_is_new(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a")])
    await go(tmp_path, [problem("a"), problem("b")])
    await go(tmp_path, [problem("a"), problem("b")])
    assert Counter(load_examples(tmp_path / "shards").problem.tolist()) == {"a": 4, "b": 4}
    assert len(read_manifest(tmp_path / "shards").shards) == 2


async def test_a_candidate_without_a_fingerprint_is_kept_as_text_only(tmp_path: Path) -> None:
    llm = ScriptedLLM(write=lambda _, index: f"# {'right' if index else 'wrong'}\n# {index or 'unreadable'}\n")
    await go(tmp_path, [problem("a")], llm=llm)
    rows, _ = read_rows(tmp_path / "shards" / "programs-00000.parquet")
    assert [row["unfingerprinted"] for row in rows] == ["too long to embed", "", "", ""]
    assert len(load_examples(tmp_path / "shards")) == 3


async def test_our_failures_never_become_labels(tmp_path: Path) -> None:
    def write(prompt: str, index: int) -> str:
        return f"# {'broken' if 'function b ' in prompt and index == 0 else 'wrong'}\n# {index}\n"

    llm = ScriptedLLM(write=write)
    await go(tmp_path, [problem("a"), problem("b")], llm=llm)
    assert set(load_examples(tmp_path / "shards").problem.tolist()) == {"a"}
    await go(tmp_path, [problem("a"), problem("b")], sandbox=MarkedSandbox(mend_after=0))
    assert Counter(load_examples(tmp_path / "shards").problem.tolist()) == {"a": 4, "b": 4}


async def test_labels_of_other_checks_are_not_mixed_in(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a")])
    with pytest.raises(ConfigError, match="labels of a that came of other checks"):
        await go(tmp_path, [problem("a", hidden=2)])


async def test_fingerprints_of_another_kind_are_not_mixed_in(tmp_path: Path) -> None:
    await go(tmp_path, [problem("a")])
    other = parts(tmp_path)
    other.fingerprinter.id = "fp-other"  # type: ignore[misc]
    with Run.open(tmp_path / "run", config()) as run, pytest.raises(FingerprintMismatch, match="fp-other"):
        await label(run, [problem("b")], other, tmp_path / "shards", among=[problem("a"), problem("b")])
    assert set(load_examples(tmp_path / "shards").problem.tolist()) == {"a"}


async def test_shards_are_cut_at_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_module, "PROBLEMS_IN_SHARD", 2)
    await go(tmp_path, [problem(name) for name in "abcde"])
    assert [shard.rows for shard in read_manifest(tmp_path / "shards").shards] == [8, 8, 4]
    assert np.isfinite(load_examples(tmp_path / "shards").embeddings).all()
