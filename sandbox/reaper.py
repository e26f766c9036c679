"""A small process that outlives a killed one just long enough to remove its containers.

A container that runs ends with its standard input, so a killed host takes it along. One that was created and not yet
started has no standard input to lose. `python -m sandbox.reaper` waits, idle, for its own standard input to end, and
then removes every container that carries its parent's label.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

GOODBYE = b"bye"
ROUNDS = 6
PAUSE_S = 0.5
"""A creation that was under way when the parent died may finish a little later."""


class Reaper:
    """The parent's end: keeps a pipe open, which the kernel closes whatever kills us."""

    def __init__(self, label: str, host: str | None) -> None:
        """Start it. `label` is "key=value" of the containers to remove; `host` a DOCKER_HOST value."""
        command = [sys.executable, "-P", "-m", "sandbox.reaper", label, host or ""]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def dismiss(self) -> None:
        """Say that everything has been removed in good order, and wait for it to end (milliseconds)."""
        self._process.communicate(GOODBYE)


def main(label: str, host: str) -> None:
    """Wait for the end of standard input; unless it ended with a goodbye, remove every container with `label`."""
    if sys.stdin.buffer.read() == GOODBYE:
        return
    from sandbox.engine import connect, remove_container  # imported now: until here this process is small

    client = connect(host or None)
    for _ in range(ROUNDS):
        for container in client.containers(all=True, filters={"label": label}):
            remove_container(client, container["Id"])
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
