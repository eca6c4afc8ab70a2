"""An engine for the tests of a file; whatever a test did to it, it must still work and not have broken inside."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .house import House

BROKEN = ("limpet_quarantined_inputs_total", "limpet_internal_errors_total", "limpet_invariant_failures_total")
OURS = ("limpet", "uvicorn.error", "grpc", "asyncio")
LOG_LINES_MAX = 60  # of one test: hostile input must not be able to fill the disk with our complaints


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """An engine with tokens."""
    async with House(tmp_path_factory.mktemp("house")) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def house(shared_house: House, caplog: pytest.LogCaptureFixture) -> AsyncIterator[House]:
    """The engine, checked when the test is over."""
    caplog.set_level(logging.INFO)
    yield shared_house
    await is_unharmed(shared_house, caplog)


async def is_unharmed(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It runs a task, nothing was quarantined, no invariant broke, and the log holds no traceback and no flood."""
    await house.is_alive()
    await house.engine.self_check.round()
    metrics = await house.metrics()
    assert {key: value for key, value in metrics.items() if key.split(",")[0] in BROKEN and value} == {}
    said = [record for record in caplog.get_records("call") if record.name.startswith(OURS)]
    assert [record.getMessage() for record in said if record.levelno >= logging.ERROR or record.exc_info] == []
    assert len(said) <= LOG_LINES_MAX, [record.getMessage() for record in said[:5]]
