"""First code in a guest: reads the guest's own modules from stdin and starts the supervisor.

The text of this file is the container's command line (`python3 -I -S -B -c TEXT`), so an image holds an interpreter
and nothing of ours: a changed guest can never meet a stale image.
"""

import json
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


class SourceFinder:
    """Imports modules from a dictionary of source texts; a name without a text is an empty package."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Say whether `name` is ours (the import system calls this)."""
        if name not in self.sources:
            return None
        return ModuleSpec(name, self, is_package=not self.sources[name])  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the import system make the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module from its source text."""
        exec(compile(self.sources[module.__name__], f"<{module.__name__}>", "exec"), module.__dict__)  # noqa: S102


def read_exactly(fd: int, size: int) -> bytes:
    """Read `size` bytes from `fd`, or raise EOFError."""
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def load() -> None:
    """Read one length-prefixed JSON object {"modules": {...}, "config": {...}} and hand over to the supervisor."""
    boot = json.loads(read_exactly(0, int.from_bytes(read_exactly(0, 4), "big")))
    sys.meta_path.insert(0, SourceFinder(boot["modules"]))
    from sandbox.guest import supervisor

    supervisor.main(boot["config"])


if __name__ == "__main__":
    load()
