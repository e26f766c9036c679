"""The sandboxes that the contract suites run over; a new one joins by one more opener."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sandbox.types import Sandbox
from tests.support.sandboxes import OPENERS


@pytest.fixture(scope="module", params=["wasm", pytest.param("docker", marks=pytest.mark.docker)])
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    opened = await OPENERS[request.param]()
    yield opened
    await opened.aclose()
