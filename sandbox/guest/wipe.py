"""Empties the writable places of a container after each step, without following anything a program left there."""

from __future__ import annotations

import os
import stat

OURS = ("/box", "/dev/shm")
"""Mounts that every container has."""
THEIRS = ("/dev/mqueue", "/tmp")
"""Mounts that an engine may bring along: message queues, which are files too, and gVisor's own /tmp."""
PLACES = (*OURS, *filter(os.path.ismount, THEIRS))


def is_clean() -> bool:
    """Remove what can be removed without entering a directory, and say whether nothing is left."""
    left = False
    for place in PLACES:
        for name in os.listdir(place):
            left |= not _remove(f"{place}/{name}")
    return not left


def _remove(path: str) -> bool:
    try:
        os.rmdir(path) if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink(path)
    except OSError:
        return False
    return True


def wipe() -> None:
    """Remove every file. Runs under the program's own uid, after all of its processes are dead.

    A nested directory is first moved up next to its parent under a random name, so that depth costs neither
    recursion nor path length.
    """
    for place in PLACES:
        os.chdir(place)
        while names := os.listdir("."):
            for name in names:
                if not _remove(name):
                    _flatten(name)


def _flatten(name: str) -> None:
    os.chmod(name, 0o700)
    for inner in os.listdir(name):
        path = f"{name}/{inner}"
        if not _remove(path):
            os.chmod(path, 0o700)  # a directory can only be moved by who may write to it
            os.rename(path, os.urandom(12).hex())
