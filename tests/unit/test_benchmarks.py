"""What benchmarks say of themselves where they cannot run, and how their ratios come about."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OVERHEAD = runpy.run_path(str(BENCHMARKS / "fingerprint_overhead.py"))


def test_train_speed_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(SystemExit, match=r"^this needs scikit-learn, which `make setup-dev` installs: [^\n]*sklearn"):
        runpy.run_path(str(BENCHMARKS / "train_speed.py"), run_name="__main__")


@pytest.mark.parametrize("name", ["fingerprint_overhead", "tap"])
def test_what_needs_a_model_says_in_one_sentence_that_there_is_none(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--json"])
    with pytest.raises(SystemExit, match=rf"^{name}\.py: The model .* is not on this machine.*pull"):
        runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")


def test_the_overhead_is_a_ratio_of_sums() -> None:
    tasks = [
        OVERHEAD["Seconds"](generation=g, plain=8.0, fingerprint=0.1, rank=0.3, second_pass=1.0, candidates=4, tokens=9)
        for g in (4.0, 16.0)
    ]
    found = OVERHEAD["summary"](tasks)
    assert found["share_of_generation"] == pytest.approx(0.6 / 20)
    assert found["share_of_generation_most"] == pytest.approx(0.3 / 4)
    assert found["states_over_plain"] == pytest.approx(20 / 16)
    assert found["second_pass_share"] == pytest.approx((2.0 + 0.4) / 20)
