"""What goes into each language's image: Debian packages, and the few paths that are kept of them.

An image holds an interpreter and a standard library, nothing of ours: the guest's code is sent when a container
starts. So an image is stale only when its recipe changes, and its tag carries the recipe's hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from sandbox.types import Language

SUITE = "bookworm"
REPOSITORY = "atlas-sandbox"
PYTHON = "/usr/bin/python3.11"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image. `keep` are path prefixes, `drop` wins over it; `run` are commands for the new root."""

    packages: tuple[str, ...]
    keep: tuple[str, ...]
    drop: tuple[str, ...]
    run: tuple[tuple[str, ...], ...]
    suite: str = SUITE
    format: int = 4

    def tag(self, language: Language) -> str:
        """Name of the image that this recipe makes, for instance ``atlas-sandbox:python-0123456789ab``."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{REPOSITORY}:{language}-{digest[:12]}"


STDLIB = "usr/lib/python3.11/"
LIBRARIES = ("lib/", "lib64", "usr/lib64", "usr/lib/x86_64-linux-gnu/", "usr/lib/aarch64-linux-gnu/")
GUEST = Recipe(
    packages=("python3.11-minimal", "libpython3.11-stdlib"),
    keep=("usr/bin/python3.11", STDLIB, *LIBRARIES),
    drop=tuple(STDLIB + name for name in ("test/", "idlelib/", "ensurepip/", "pydoc_data/", "lib2to3/", "tkinter/")),
    run=((PYTHON, "-I", "-S", "-m", "compileall", "-q", "/usr/lib/python3.11"),),
)


def _with(packages: tuple[str, ...], keep: tuple[str, ...]) -> Recipe:
    """The guest's interpreter, and another language's tools beside it."""
    return replace(GUEST, packages=GUEST.packages + packages, keep=GUEST.keep + keep)


RECIPES: dict[Language, Recipe] = {
    "python": GUEST,
    "javascript": _with(("nodejs",), ("usr/bin/node", "usr/share/nodejs/")),
    "cpp": _with(("g++",), ("usr/bin/", "usr/lib/gcc/", "usr/include/")),
    "bash": _with(("bash", "coreutils", "grep", "sed", "mawk", "findutils"), ("bin/", "usr/bin/")),
}


def image_tag(language: Language) -> str:
    """Name of the image that programs in `language` run in."""
    return RECIPES[language].tag(language)
