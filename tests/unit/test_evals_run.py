"""A run's folder: drift is refused, one process at a time, names are safe."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import ConfigError
from atlas.evals.run import Run, file_name, require_distinct_files
from tests.support.evals import config, problem


def test_a_run_goes_on_with_its_own_configuration_and_takes_more_data_sets(tmp_path: Path) -> None:
    with Run.open(tmp_path, config()):
        pass
    with Run.open(tmp_path, config(datasets={"more": "1" * 64})) as run:
        assert run.config.datasets == {"own": "0" * 64, "more": "1" * 64}
    assert Run.read(tmp_path).config == run.config


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"temperature": 0.2}, "temperature was 0.8 and is now 0.2"),
        ({"model": "other", "k": 8}, "model was 'fake' and is now 'other'; k was 4 and is now 8"),
        ({"datasets": {"own": "2" * 64}}, "own is another file than before"),
    ],
)
def test_drift_is_refused_and_named(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with Run.open(tmp_path, config()):
        pass
    with pytest.raises(ConfigError, match=says), Run.open(tmp_path, config(**changes)):
        pass


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    with (
        Run.open(tmp_path, config()),
        pytest.raises(ConfigError, match="another process works on"),
        Run.open(tmp_path, config()),
    ):
        pass
    with Run.open(tmp_path, config()):
        pass


def test_what_a_killed_process_left_is_cleared_away_but_not_what_is_being_written(tmp_path: Path) -> None:
    (tmp_path / "grades").mkdir()
    old, new, real = (tmp_path / "grades" / name for name in (".a.7.tmp", "b.8.part", "c.parquet"))
    for path in (old, new, real):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 3600,) * 2)
    with Run.open(tmp_path, config()):
        assert not old.exists()
        assert new.exists()
        assert real.exists()


def test_a_damaged_or_missing_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        Run.read(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 9}')
    with pytest.raises(ConfigError, match="cannot be read"):
        Run.read(tmp_path)


@given(st.text(min_size=1, max_size=200))
def test_file_names_are_plain_and_short(id_: str) -> None:
    try:
        name = file_name(id_)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text; a Task's id cannot hold one
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(f"{name}.parquet".encode()) <= 255


def test_file_names_are_those_of_recorded_completions() -> None:
    assert file_name("mbpp/511") == "mbpp_511"
    assert file_name("HumanEval/0") == "HumanEval_0"
    assert file_name("leetcode/two-sum") == "leetcode_two-sum"


def test_problems_that_would_share_a_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="'a/b' and 'a_b' would share one file"):
        require_distinct_files((problem("a/b"), problem("a_b")))
    with pytest.raises(ConfigError, match="given twice"):
        require_distinct_files((problem("a"), problem("a")))
