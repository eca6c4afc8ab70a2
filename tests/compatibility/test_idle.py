"""T-KEEPALIVE: streams of the official client that idle for ten minutes are never ended. By name: `pytest -m slow`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from tests.compatibility.conftest import client_of
from tests.compatibility.processes import EngineProcess, WorkerProcess
from tests.compatibility.programs import journal
from tests.compatibility.programs.workflows import Number, build

IDLE_S = float(os.environ.get("IDLE_SECONDS", "600"))

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(IDLE_S + 120)]


async def test_T_KEEPALIVE_idle_streams_live_on_without_a_reconnect(
    own_engine: EngineProcess, workers: Callable[..., WorkerProcess]
) -> None:
    worker = await asyncio.to_thread(workers, own_engine, "idle", slots=5)
    reference = await build(client_of(own_engine))["idler"].aio_run(Number(number=1, seconds=IDLE_S), wait_for_result=False)
    result = await reference.aio_result()
    assert result.value == 2
    done = [line for line in journal.read(own_engine.client_environment()["JOURNAL"]) if line["kind"] == "idler"]
    assert [line["retry"] for line in done] == [0]
    log = worker.log().lower()
    assert "interrupted" not in log
    assert "too_many_pings" not in log
