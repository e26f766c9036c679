"""Whose container is this? Only a dead process's containers may be swept."""

import os
import subprocess
import sys

from sandbox import owner


def test_this_process_is_alive() -> None:
    assert owner.is_alive(owner.process_id(os.getpid()))
    assert owner.is_alive(owner.labels()[owner.PROCESS])


def test_a_dead_process_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = owner.process_id(child.pid)
    assert owner.is_alive(name)
    child.communicate(b"\n")
    assert not owner.is_alive(name)


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    boot, pid, started = owner.process_id(os.getpid()).split("/")
    assert not owner.is_alive(f"{boot}/{pid}/{int(started) - 1}")
    assert not owner.is_alive(f"another-boot/{pid}/{started}")


def test_labels_that_cannot_be_read_mean_dead() -> None:
    assert not owner.is_alive("") and not owner.is_alive("x/y/z") and not owner.is_alive("a/99999999/1")
