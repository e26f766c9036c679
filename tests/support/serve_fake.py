"""The real server around the fake solver, as a process of its own: ``python -m tests.support.serve_fake DATABASE``.

Prints its base URL on standard output once it is open. Settings follow as ``name=number``; ``open_s`` is how long
opening the solver takes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.app import serve
from atlas.errors import ConfigError
from tests.support.clients import quick
from tests.support.fakes import FakeAtlas


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    settings = {name: float(value) for name, value in (pair.split("=") for pair in sys.argv[2:])}
    open_s = settings.pop("open_s", 0.0)
    port = int(settings.pop("port", 0))

    @asynccontextmanager
    async def open_solver() -> AsyncIterator[FakeAtlas]:
        logging.info("opening")
        await asyncio.sleep(open_s)
        yield FakeAtlas()
        say("closed")

    config = quick(Path(sys.argv[1]), port=port, **settings)
    try:
        serve(config, open_solver, on_listening=say)
    except ConfigError as exc:
        sys.stderr.write(f"{exc}\n")
        return 8
    return 0


if __name__ == "__main__":
    sys.exit(main())
