"""The sandboxes that the hostile programs meet, and the table of what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.hostile.corpus import LIMITS
from tests.hostile.ground import Ground


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a passed self-test is remembered, so that it is run once."""
    return tmp_path_factory.mktemp("proofs")


@pytest.fixture(scope="module")
async def docker(proofs: Path) -> AsyncIterator[Ground]:
    """One container serves many programs here: what one leaves behind, the next would find."""
    from sandbox.docker import DockerSandbox, DockerSettings

    settings = DockerSettings(warm=1, concurrency=1, reuse=1_000, limits=LIMITS, proofs=proofs)
    async with await DockerSandbox.start(settings) as sandbox:
        yield await Ground.of(sandbox)


@pytest.fixture(scope="module")
async def wasm() -> AsyncIterator[Ground]:
    """One instance waits while another runs; each is thrown away after its step."""
    from sandbox.wasm import WasmSandbox

    async with await WasmSandbox.start(concurrency=1) as sandbox:
        yield await Ground.of(sandbox)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--hostile-report"):
        return
    rows = sorted(_rows(terminalreporter))
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("hostile programs")
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    terminalreporter.write_line(f"{sum(row[-1] == '' for row in rows)} of {len(rows)} as expected")


def _rows(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, ...]]:
    """What each program's test has recorded: program, isolation, expected, got, objection."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                yield from (value for name, value in report.user_properties if name == "hostile")
