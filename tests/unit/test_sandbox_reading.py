"""Syntax trees made by several threads at once."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import reading


class Litter:
    """Costs the collector a step of the interpreter, where another thread may get its turn."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(50):
            pass


@pytest.fixture
def eager_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_switches")
def test_threads_do_not_disturb_each_other() -> None:
    """Without the lock, CPython 3.11 fails here within the first ten trees."""
    text = Path(reading.__file__).read_text("utf-8") * 20

    def read(_number: int) -> ast.Module:
        for _ in range(20):
            Litter()
        return reading.syntax_tree(text)

    with ThreadPoolExecutor(4) as threads:
        trees = list(threads.map(read, range(100)))
    gc.collect()
    assert len({len(tree.body) for tree in trees}) == 1


def test_a_mode_and_its_errors() -> None:
    assert isinstance(reading.syntax_tree("1 + 1", mode="eval").body, ast.BinOp)
    with pytest.raises(SyntaxError):
        reading.syntax_tree("1 +", mode="eval")


def test_nothing_on_the_host_reads_a_tree_by_itself() -> None:
    """The guest has no threads of ours; everybody else takes turns."""
    root = Path(reading.__file__).parents[1]
    files = [f for name in ("api", "atlas", "costfield", "sandbox") for f in (root / name).rglob("*.py")]
    alone = [f for f in files if "ast.parse(" in f.read_text("utf-8") and "guest" not in f.parts]
    assert alone == [root / "sandbox" / "reading.py"]
