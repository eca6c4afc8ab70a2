"""Signals of a worker process: the first drains, a second one and SIGQUIT end it at once (WK-34, WK-35)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from limpet.contracts.dispatcher_pb2 import STEP_EVENT_TYPE_COMPLETED
from tests.sdk.scripted_engine import STREAM_ENDED, ScriptedEngine, start_action, worker_id

PROGRAM = Path(__file__).with_name("worker_program.py")


@asynccontextmanager
async def worker_process(
    scripted: ScriptedEngine, *, stderr: int | None = None, **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "LIMPET_HOST_PORT": f"127.0.0.1:{scripted.port}",
        "LIMPET_SERVER_URL": "http://127.0.0.1:9",
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), env=environment, stdout=asyncio.subprocess.PIPE, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 10)).decode().strip()


async def test_WK34_the_first_signal_drains_and_start_returns(scripted: ScriptedEngine) -> None:
    async with worker_process(scripted) as process:
        await scripted.send(start_action("brief:brief"))
        await scripted.event(STEP_EVENT_TYPE_COMPLETED)
        process.send_signal(signal.SIGTERM)
        assert await next_line(process) == "start returned"
        assert await process.wait() == 0
    assert scripted.requests("Unsubscribe")[-1].worker_id == worker_id(1)


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGQUIT,)])
async def test_WK35_a_forced_end_tells_the_engine_first(scripted: ScriptedEngine, signals: tuple[signal.Signals, ...]) -> None:
    async with worker_process(scripted) as process:
        await scripted.send(start_action("endless:endless"))
        assert await next_line(process) == "running"
        for number in signals[:-1]:
            process.send_signal(number)
            await scripted.called(STREAM_ENDED)  # it drains; two signals at once would be one to the kernel
        process.send_signal(signals[-1])
        assert await asyncio.wait_for(process.wait(), 10) == 1
    assert scripted.requests("Unsubscribe")[-1].worker_id == worker_id(1)


async def test_WK35_force_at_the_first_signal_when_configured(scripted: ScriptedEngine) -> None:
    async with worker_process(scripted, LIMPET_FORCE_SHUTDOWN_ON_SHUTDOWN_SIGNAL="true") as process:
        await scripted.send(start_action("endless:endless"))
        assert await next_line(process) == "running"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 1
    assert scripted.requests("Unsubscribe")
